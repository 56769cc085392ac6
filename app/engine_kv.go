package app

import (
	"context"
	"iter"

	"keywatch/kv"
	"keywatch/watch"
)

// Get returns the newest version of key, nil if it is absent. It fails as
// kv.Store.Get does.
func (e *Engine) Get(ctx context.Context, key string) (*kv.Entry, error) {
	entry, _, err := e.store.Get(ctx, key)
	return entry, err
}

// Put writes value to key. It fails as kv.Store.Do does.
func (e *Engine) Put(ctx context.Context, key string, value []byte) (kv.Result, error) {
	return e.store.Do(ctx, &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: key, Value: value}}})
}

// Delete removes key. The result's revision is 0 if there was nothing to
// remove. It fails as kv.Store.Do does.
func (e *Engine) Delete(ctx context.Context, key string) (kv.Result, error) {
	return e.store.Do(ctx, &kv.Command{Ops: []kv.Op{{Kind: kv.OpDelete, Key: key}}})
}

// CompareAndSwap writes value to key if the key's revision is rev; 0 stands for
// an absent key. The result's outcome is kv.Committed or kv.CheckFailed, and
// then its Current is what stands there. It fails as kv.Store.Do does.
func (e *Engine) CompareAndSwap(ctx context.Context, key string, rev kv.Rev, value []byte) (kv.Result, error) {
	return e.store.Do(ctx, &kv.Command{
		Checks: []kv.Check{{Kind: kv.CheckRev, Key: key, N: uint64(rev)}},
		Ops:    []kv.Op{{Kind: kv.OpPut, Key: key, Value: value}},
	})
}

// Do runs a command: any mix of checks and operations, all in one revision. It
// fails as kv.Store.Do does.
func (e *Engine) Do(ctx context.Context, c *kv.Command) (kv.Result, error) {
	return e.store.Do(ctx, c)
}

// List ranges over the keys that begin with prefix, in order, all as they were
// at one revision. Leaving the loop lets go of that revision. A failure comes
// as the last element, with an empty key.
func (e *Engine) List(ctx context.Context, prefix string) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		snap, err := e.Snapshot(ctx)
		if err != nil {
			yield(Item{}, err)
			return
		}
		defer snap.Close()
		snap.List(ctx, prefix)(yield)
	}
}

// An Item is a key and its version in a list.
type Item struct {
	Key   string
	Entry *kv.Entry
}

// Watch ranges over what req selects, as it happens, until ctx ends or the
// engine is closed. A failure comes as the last element.
func (e *Engine) Watch(ctx context.Context, req watch.Request) iter.Seq2[watch.Message, error] {
	return func(yield func(watch.Message, error) bool) {
		w, err := e.hub.Watch(req)
		if err != nil {
			yield(watch.Message{}, err)
			return
		}
		defer w.Close()
		for {
			messages, err := w.Next(ctx)
			for i := range messages {
				if !yield(messages[i], nil) {
					return
				}
			}
			if err != nil {
				yield(watch.Message{}, err)
				return
			}
		}
	}
}
