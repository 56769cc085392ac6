package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// setSize is how many keys every batch of a set writes.
const setSize = 16

func setKey(i int) string { return fmt.Sprintf("set/%02d", i) }

// whole checks that entries are all keys of a set as one batch left them, or
// none.
func whole(entries []load.Entry, size int) error {
	if len(entries) == 0 {
		return nil
	}
	if len(entries) != size {
		return fmt.Errorf("%d keys of %d", len(entries), size)
	}
	for _, e := range entries {
		if first := entries[0]; e.Value != first.Value || e.Rev != first.Rev {
			return fmt.Errorf("%s is %q at %d, but %s is %q at %d", first.Key, first.Value, first.Rev, e.Key, e.Value, e.Rev)
		}
	}
	return nil
}

// A setReader is a way to read a whole set at one moment.
type setReader struct {
	name string
	call load.Call
	read func(*load.Answer) ([]load.Entry, error)
}

func setReaders() []setReader {
	var gets load.Batch
	for i := range setSize {
		gets.Ops = append(gets.Ops, load.OpGet(setKey(i)))
	}
	path := "/v1/kv?prefix=set/&limit=100"
	return []setReader{
		{"list", load.Call{Method: "GET", Path: path}, func(a *load.Answer) ([]load.Entry, error) {
			var p load.Page
			err := a.Decode(&p)
			return p.Entries, err
		}},
		{"NDJSON list", load.Call{Method: "GET", Path: "/v1/kv?prefix=set/"}.With("Accept", "application/x-ndjson"),
			func(a *load.Answer) (entries []load.Entry, err error) {
				all, _, err := load.ParseList(a.Body)
				for _, e := range all {
					entries = append(entries, e)
				}
				return entries, err
			}},
		{"batch of gets", gets.Call(), func(a *load.Answer) (entries []load.Entry, err error) {
			var b load.Batched
			err = a.Decode(&b)
			for _, res := range b.Results {
				if res.Found {
					res.Entry.Value = *res.Value
					entries = append(entries, res.Entry)
				}
			}
			return entries, err
		}},
	}
}

// loop reads until ctx ends and counts the times that the revision was another.
func (r setReader) loop(ctx context.Context, cl *load.Client, revs *atomic.Int64) error {
	var last uint64
	for ctx.Err() == nil {
		a, err := cl.Do(ctx, r.call)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return err
		}
		entries, err := r.read(a)
		if err == nil {
			err = whole(entries, setSize)
		}
		if err != nil {
			return fmt.Errorf("%s: %w (status %d)", r.name, err, a.Status)
		}
		if len(entries) > 0 && entries[0].Rev != last {
			last = entries[0].Rev
			revs.Add(1)
		}
	}
	return nil
}

// A setWatcher follows part of a set, size keys, and reconnects now and then
// from a position that it had before.
type setWatcher struct {
	path, accept string
	size         int
}

// loop watches until ctx ends and counts the revisions that it was told of.
func (w setWatcher) loop(ctx context.Context, cl *load.Client, rng *rand.Rand, revs *atomic.Int64) error {
	var ids []string // positions it was given
	for ctx.Err() == nil {
		from := ""
		if len(ids) > 0 {
			from = ids[rng.IntN(len(ids))]
		}
		s, err := cl.Open(ctx, w.path, w.accept, from)
		if err != nil {
			return ignoreEnd(ctx, err)
		}
		got, err := w.read(s, 20+rng.IntN(100))
		s.Close()
		ids = append(ids, got...)
		revs.Add(int64(len(got)))
		if err != nil {
			return ignoreEnd(ctx, err)
		}
	}
	return nil
}

// ignoreEnd returns nil in place of an error that ctx caused.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Canceled)) {
		return nil
	}
	return err
}

// read reads n revisions and returns the positions after each.
func (w setWatcher) read(s *load.Stream, n int) (ids []string, err error) {
	var group []load.Entry
	state := false
	for len(ids) < n {
		ev, err := s.Next()
		if err != nil {
			return ids, err
		}
		switch ev.Name {
		case "reset", "resync":
			state = true
		case "put", "delete":
			ev.Value += ev.Name // a batch only puts or only deletes
			group = append(group, ev.Entry)
			if state || ev.ID == "" {
				continue
			}
			if !strings.HasSuffix(ev.ID, "-"+strconv.FormatUint(ev.Rev, 10)) {
				return ids, fmt.Errorf("the id %s stands on revision %d", ev.ID, ev.Rev)
			}
			fallthrough
		case "synced":
			state = false
			if err := whole(group, w.size); err != nil {
				return ids, fmt.Errorf("%s as %s: %s: %w", w.path, w.accept, ev.Name, err)
			}
			group, ids = nil, append(ids, ev.ID)
		}
	}
	return ids, nil
}

// writeSets writes the whole set, or deletes it, as one until ctx ends.
func writeSets(ctx context.Context, cl *load.Client, name int) error {
	rng := rand.New(rand.NewPCG(*seed, uint64(name)))
	for n := 0; ctx.Err() == nil; n++ {
		var b load.Batch
		for _, i := range rng.Perm(setSize) {
			if n%7 == 6 {
				b.Ops = append(b.Ops, load.OpDelete(setKey(i)))
			} else {
				b.Ops = append(b.Ops, load.OpPut(setKey(i), fmt.Sprintf("%d/%d", name, n)))
			}
		}
		c := b.Call()
		if n%14 == 13 {
			c = load.Call{Method: "DELETE", Path: "/v1/kv?prefix=set/"}
		}
		a, err := cl.Do(ctx, c)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil || a.Status != 200 {
			return fmt.Errorf("batch: %v, %+v", err, a)
		}
	}
	return nil
}

// TestBatchesAreSeenWhole: while several clients write batches to the same keys,
// every list, every batch of gets and every watcher, whatever part it watches and
// wherever it resumes, sees each batch whole or not at all.
func TestBatchesAreSeenWhole(t *testing.T) { batchesAreSeenWhole(t, 500*time.Millisecond) }

func TestProofBatchesAreSeenWhole(t *testing.T) {
	gate.Long(t)
	batchesAreSeenWhole(t, 2*time.Second)
}

func batchesAreSeenWhole(t *testing.T, d time.Duration) {
	t.Parallel()
	s := serve(t, "--data", t.TempDir())
	ctx, cancel := context.WithCancel(gate.Context(t))
	var running sync.WaitGroup
	for i := range 3 {
		running.Go(func() {
			if err := writeSets(ctx, newClient(t, s), i); err != nil {
				t.Error(err)
			}
		})
	}
	var counts []*atomic.Int64 // of revisions, one for each reader
	read := func(name string, loop func(revs *atomic.Int64) error) {
		revs := new(atomic.Int64)
		counts = append(counts, revs)
		running.Go(func() {
			if err := loop(revs); err != nil {
				t.Errorf("%s: %v, after %d revisions (seed %d)", name, err, revs.Load(), *seed)
				cancel()
			}
		})
	}
	for _, r := range setReaders() {
		read(r.name, func(revs *atomic.Int64) error { return r.loop(ctx, newClient(t, s), revs) })
	}
	for i, w := range setWatchers() {
		rng := rand.New(rand.NewPCG(*seed, uint64(100+i)))
		read(w.path, func(revs *atomic.Int64) error { return w.loop(ctx, newClient(t, s), rng, revs) })
	}
	lasts(t, d)
	for _, revs := range counts {
		for revs.Load() < 20 && ctx.Err() == nil {
			load.Pause(ctx)
		}
	}
	if ctx.Err() != nil && !t.Failed() {
		t.Error("some reader has seen too little")
	}
	cancel()
	running.Wait()
}

func setWatchers() []setWatcher {
	return []setWatcher{
		{"/v1/watch?prefix=set/", "text/event-stream", setSize},
		{"/v1/watch?prefix=set/", "application/x-ndjson", setSize},
		{"/v1/watch?key=set/03&key=set/11&prefix=set/0", "text/event-stream", 11},
		{"/v1/watch?key=set/03&key=set/11", "application/x-ndjson", 2},
	}
}
