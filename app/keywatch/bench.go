package main

import (
	"context"
	"fmt"

	kw "keywatch/client"
)

// benchAll is the benchmarks.
type benchAll struct {
	Requests benchCmd  `cmd:"" default:"withargs" help:"Requests as fast as they are answered; its name can be left out."`
	Fanout   fanoutCmd `cmd:"" help:"Watchers, and what reaches them."`
}

// Help is printed by keywatch bench --help.
func (*benchAll) Help() string {
	return `
Benchmarks write real keys and delete them at the end: use a server made for it.

Examples:

    keywatch bench put --conns=64 --seconds=30
    keywatch bench fanout --watchers=5000 --rate=20
`
}

// withBenchKeys runs a benchmark that writes keys under prefix, and deletes them
// afterwards. It fails before that if there are such keys, which are not the
// benchmark's to overwrite or delete. With keep it does neither.
func (s *session) withBenchKeys(prefix string, keep bool, run func() error) error {
	for _, err := range s.kw.List(s.ctx, prefix, kw.KeysOnly(), kw.Limit(1)) {
		if err != nil {
			return err
		}
		if !keep {
			return fmt.Errorf("there are keys under %q: choose another --prefix, delete them, or use them with --keep", prefix)
		}
	}
	err := run()
	if keep {
		return err
	}
	// Also after an interrupt. The next signal ends the process.
	if failed := deleteAll(context.WithoutCancel(s.ctx), s.kw, prefix); failed != nil {
		failed = fmt.Errorf("keys under %q are left: %w", prefix, failed)
		if err != nil {
			return fmt.Errorf("%w; %w", err, failed)
		}
		return failed
	}
	return err
}

// deleteOps is how many keys are deleted at once.
const deleteOps = 256

// deleteAll deletes the keys under prefix, a few at a time: the server bounds how
// many one deletion may have.
func deleteAll(ctx context.Context, c *kw.Client, prefix string) error {
	for {
		var b kw.Batch
		for e, err := range c.List(ctx, prefix, kw.KeysOnly(), kw.Limit(deleteOps)) {
			if err != nil {
				return err
			}
			b.Ops = append(b.Ops, kw.OpDelete(e.Key))
		}
		if len(b.Ops) == 0 {
			return nil
		}
		if _, err := c.Batch(ctx, b); err != nil {
			return err
		}
	}
}
