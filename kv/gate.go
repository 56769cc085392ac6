package kv

import (
	"context"
	"errors"
)

// A Gate holds writers back while there is no room in memory.
type Gate interface {
	// Admit returns nil once keys and values of bytes bytes may be written, or
	// ErrMemoryFull if that takes too long, or ctx's error. It is safe for
	// concurrent use.
	Admit(ctx context.Context, bytes int64) error
}

// Guard has g asked before every command that writes values. It is called before
// the store is used.
func (s *Store) Guard(g Gate) { s.gate = g }

// admit asks the gate.
func (s *Store) admit(ctx context.Context, c *Command) error {
	if s.gate == nil {
		return nil
	}
	var bytes int64
	for _, ops := range [2][]Op{c.Ops, c.Else} {
		for i := range ops {
			if ops[i].Kind == OpPut {
				bytes += int64(len(ops[i].Key) + len(ops[i].Value))
			}
		}
	}
	if bytes == 0 {
		return nil // what deletes is never held back
	}
	err := s.gate.Admit(ctx, bytes)
	if errors.Is(err, context.DeadlineExceeded) {
		return ErrMemoryFull // not applied, whoever's patience it was
	}
	return err
}
