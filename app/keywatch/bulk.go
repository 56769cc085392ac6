package main

import (
	kw "keywatch/client"
)

const (
	// bulkOps and bulkBytes bound a batch of many writes; the server's own bounds are larger.
	bulkOps   = 500
	bulkBytes = 512 << 10
)

// A bulk writes many keys, in batches: each batch is applied whole or not at all.
type bulk struct {
	s     *session
	ops   []kw.Op
	bytes int
	// wrote counts the keys written, left those that belong to a lease, which a copy has not.
	wrote, left int
}

// put writes a copy of e to key, with the time that it has left to live.
func (b *bulk) put(key string, e *kw.Entry) error {
	if e.Lease != "" {
		b.left++
		return nil
	}
	var opts []kw.WriteOption
	if e.TTL > 0 {
		opts = append(opts, kw.TTL(e.TTL))
	}
	b.ops = append(b.ops, kw.OpPut(key, e.Value, opts...))
	b.bytes += len(key) + len(e.Value)
	if len(b.ops) < bulkOps && b.bytes < bulkBytes {
		return nil
	}
	return b.flush()
}

// flush sends what was put.
func (b *bulk) flush() error {
	if len(b.ops) == 0 {
		return nil
	}
	if _, err := b.s.kw.Batch(b.s.ctx, kw.Batch{Ops: b.ops}); err != nil {
		return err
	}
	b.wrote += len(b.ops)
	b.ops, b.bytes = b.ops[:0], 0
	return nil
}

// print prints how many keys were written.
func (b *bulk) print() error {
	if b.left > 0 {
		b.s.message("%d keys that belong to a lease were left out", b.left)
	}
	if b.s.json() {
		return b.s.printValue(map[string]int{"keys": b.wrote, "left_out": b.left})
	}
	return b.s.printf("%d keys\n", b.wrote)
}
