package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	kw "keywatch/client"
)

// mirrorCmd keeps a folder in step with a prefix.
type mirrorCmd struct {
	Prefix string `arg:"" help:"What the keys begin with; it ends in /; / alone is everything."`
	Dir    string `arg:"" help:"Folder; made if there is none. It must be empty or have been mirrored to before."`
	Once   bool   `help:"End when the folder is what the server has."`
}

// Help is printed by keywatch mirror --help.
func (*mirrorCmd) Help() string {
	return `
Each key is a file with its value, below DIR and without the prefix: config/app/a
is DIR/app/a for the prefix config/. Files are replaced atomically and removed with
their keys; changes made to them are overwritten at the next change of their key.
While the server cannot be reached the files stay; then they are brought up to date.

A segment that begins with a dot has it written as %2E, and % is %25. A key that
is also the beginning of another (a beside a/b) is the file %value in that folder.
Everything in DIR is the mirror's: other files and links in it are removed, and no
link is followed, so that nothing is written outside DIR.

Examples:

    keywatch mirror config/ /etc/myapp
    keywatch mirror --once config/ ./config && ls config
    keywatch mirror / ./everything
`
}

// Run returns when it is interrupted, a file cannot be written, or with --once
// when all are.
func (c *mirrorCmd) Run(s *session) error {
	prefix, ok := prefixOf(c.Prefix)
	if !ok {
		return usagef("%q is a key; a prefix ends in /", c.Prefix)
	}
	t, err := openTree(c.Dir, prefix)
	if err != nil {
		return err
	}
	defer t.close()
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	k := &keeper{s: s, tree: t, fail: cancel}
	m := s.kw.Mirror(kw.MirrorOptions{
		Prefixes: []string{prefix}, OnChange: k.onChange,
		Disconnected: func(err error, back time.Duration) {
			s.message("%v; reconnecting in %v", err, back.Round(10*time.Millisecond))
		},
	})
	defer m.Close()
	if err := k.first(ctx, m); err != nil {
		return interrupted(s, err)
	}
	if c.Once {
		return nil
	}
	select {
	case <-ctx.Done():
		return interrupted(s, context.Cause(ctx))
	case <-m.Done():
		return m.Err()
	}
}

// keeper writes what a mirror tells into a tree.
type keeper struct {
	s    *session
	tree *tree
	fail func(error)

	mu    sync.Mutex
	ready bool // whether the first state is written
}

// first makes the tree what the mirror shows, once it shows something.
func (k *keeper) first(ctx context.Context, m *kw.Mirror) error {
	if err := m.Synced(ctx); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	entries := map[string][]byte{}
	for key, e := range m.All("") {
		entries[key] = e.Value
	}
	skipped, err := k.tree.become(entries)
	if err != nil {
		return err
	}
	if skipped > 0 {
		k.s.message("%d keys are too long for a file name and were left out", skipped)
	}
	if err := k.s.printf("# synced at %s, %d keys\n", m.Position(), len(entries)); err != nil {
		return err
	}
	k.ready = true
	return nil
}

// onChange takes changes of the mirror.
func (k *keeper) onChange(changes []kw.Change) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.ready {
		return // the mirror shows it already, and first will
	}
	if err := k.write(changes); err != nil {
		k.fail(err)
	}
}

func (k *keeper) write(changes []kw.Change) error {
	for _, c := range changes {
		var err error
		what := "put     "
		if c.New == nil {
			what = "delete  "
			err = k.tree.remove(c.Key)
		} else {
			err = k.tree.put(c.Key, c.New.Value)
		}
		if errors.Is(err, syscall.ENAMETOOLONG) {
			k.s.message("%q is too long for a file name and was left out", c.Key)
			continue
		}
		if err == nil {
			err = k.s.printf("%s%s\n", what, c.Key)
		}
		if err != nil {
			return fmt.Errorf("mirror of %q: %w", c.Key, err)
		}
	}
	return nil
}
