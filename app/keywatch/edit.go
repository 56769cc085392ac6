package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	kw "keywatch/client"
)

// editCmd changes a value in an editor.
type editCmd struct {
	Key string `arg:"" help:"Key; it need not exist."`
	fenced
}

// Help is printed by keywatch edit --help.
func (*editCmd) Help() string {
	return `
Opens the value in $VISUAL or $EDITOR, and writes it when the editor has ended, if it
was changed. If the key was changed meanwhile nothing is written: both are shown, the
edited text stays in its file, and the command exits with 4. Time to live and lease of
the key stay.

Examples:

    keywatch edit config/app
    EDITOR="code --wait" keywatch edit config/app
`
}

// Run edits the value.
func (c *editCmd) Run(s *session) error {
	if err := checkKey(c.Key); err != nil {
		return err
	}
	opts, err := c.fenced.options()
	if err != nil {
		return err
	}
	entry, err := s.kw.Get(s.ctx, c.Key)
	condition := kw.IfETag(entry.ETag)
	if errors.Is(err, kw.ErrNotFound) {
		condition, err = kw.IfAbsent(), nil
	} else if entry.Lease != "" {
		opts = append(opts, kw.OnLease(entry.Lease))
	} else {
		opts = append(opts, kw.KeepTTL())
	}
	if err != nil {
		return err
	}
	file, edited, err := editText(s, c.Key, entry.Value)
	if err != nil {
		return err
	}
	if bytes.Equal(edited, entry.Value) {
		s.message("not changed")
		return os.RemoveAll(filepath.Dir(file))
	}
	did, err := s.kw.Put(s.ctx, c.Key, edited, append(opts, kw.If(condition))...)
	if err != nil {
		c.explain(s, file, &entry, err)
		return err
	}
	if err := os.RemoveAll(filepath.Dir(file)); err != nil {
		return err
	}
	return s.printWritten(did)
}

// explain says what stands there instead of what was edited, and where the edited text is.
func (c *editCmd) explain(s *session, file string, was *kw.Entry, err error) {
	if refused, ok := errors.AsType[*kw.Error](err); ok && errors.Is(err, kw.ErrConflict) {
		now := "deleted"
		if refused.Current != nil {
			now = preview(refused.Current.Value)
		}
		s.message("%s was changed meanwhile: it was %s and is now %s", c.Key, preview(was.Value), now)
	}
	s.message("the edited text is in %s", file)
}

// editText opens value in the editor and returns what it is then, and its file, which has a
// folder of its own.
func editText(s *session, key string, value []byte) (file string, edited []byte, err error) {
	editor := os.Getenv("VISUAL")
	if editor == "" {
		editor = os.Getenv("EDITOR")
	}
	if editor == "" {
		return "", nil, usagef("$VISUAL and $EDITOR are not set")
	}
	dir, err := os.MkdirTemp("", "keywatch-edit-")
	if err != nil {
		return "", nil, err
	}
	file = filepath.Join(dir, filepath.Base(path.Base(key)))
	if err := os.WriteFile(file, value, 0o600); err != nil {
		return file, nil, errors.Join(err, os.RemoveAll(dir))
	}
	words := strings.Fields(editor)
	cmd := exec.Command(words[0], append(words[1:], file)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.stdin, s.stdout.file, s.stderr.file
	if err := cmd.Run(); err != nil {
		return file, nil, fmt.Errorf("%s: %w; nothing was written, the text is in %s", editor, err, file)
	}
	edited, err = os.ReadFile(file)
	return file, edited, err
}
