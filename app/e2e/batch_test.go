package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// setSize is how many keys every batch of a set writes.
const setSize = 16

func setKey(i int) string { return fmt.Sprintf("set/%02d", i) }

// whole checks that entries are all keys of a set as one batch left them, or
// none.
func whole(entries []entry, size int) error {
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
	call call
	read func(*answer) ([]entry, error)
}

func setReaders() []setReader {
	var gets batch
	for i := range setSize {
		gets.Ops = append(gets.Ops, opGet(setKey(i)))
	}
	path := "/v1/kv?prefix=set/&limit=100"
	return []setReader{
		{"list", call{method: "GET", path: path}, func(a *answer) ([]entry, error) {
			var p page
			err := a.decode(&p)
			return p.Entries, err
		}},
		{"NDJSON list", call{method: "GET", path: "/v1/kv?prefix=set/"}.with("Accept", "application/x-ndjson"),
			func(a *answer) (entries []entry, err error) {
				all, _, err := parseList(a.body)
				for _, e := range all {
					entries = append(entries, e)
				}
				return entries, err
			}},
		{"batch of gets", gets.call(), func(a *answer) (entries []entry, err error) {
			var b batched
			err = a.decode(&b)
			for _, res := range b.Results {
				if res.Found {
					res.entry.Value = *res.Value
					entries = append(entries, res.entry)
				}
			}
			return entries, err
		}},
	}
}

// loop reads until ctx ends and returns how many different revisions it saw.
func (r setReader) loop(ctx context.Context, cl *client) (revs int, err error) {
	seen := make(map[uint64]bool)
	for ctx.Err() == nil {
		a, err := cl.do(ctx, r.call)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return 0, err
		}
		entries, err := r.read(a)
		if err == nil {
			err = whole(entries, setSize)
		}
		if err != nil {
			return 0, fmt.Errorf("%s: %w (status %d)", r.name, err, a.status)
		}
		if len(entries) > 0 {
			seen[entries[0].Rev] = true
		}
	}
	return len(seen), nil
}

// A setWatcher follows part of a set, size keys, and comes back now and then
// from a position that it had before.
type setWatcher struct {
	path, accept string
	size         int
}

// loop watches until ctx ends and returns how many revisions it was told of.
func (w setWatcher) loop(ctx context.Context, cl *client, rng *rand.Rand) (revs int, err error) {
	var ids []string // positions it was given
	for ctx.Err() == nil {
		from := ""
		if len(ids) > 0 {
			from = ids[rng.IntN(len(ids))]
		}
		s, err := cl.open(ctx, w.path, w.accept, from)
		if err != nil {
			return revs, ignoreEnd(ctx, err)
		}
		got, err := w.read(s, 20+rng.IntN(100))
		s.close()
		ids = append(ids, got...)
		revs += len(got)
		if err != nil {
			return revs, ignoreEnd(ctx, err)
		}
	}
	return revs, nil
}

// ignoreEnd returns nil in place of an error that ctx caused.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Canceled)) {
		return nil
	}
	return err
}

// read reads n revisions and returns the positions after each.
func (w setWatcher) read(s *stream, n int) (ids []string, err error) {
	var group []entry
	state := false
	for len(ids) < n {
		ev, err := s.next()
		if err != nil {
			return ids, err
		}
		switch ev.name {
		case "reset", "resync":
			state = true
		case "put", "delete":
			ev.Value += ev.name // a batch only puts or only deletes
			group = append(group, ev.entry)
			if state || ev.id == "" {
				continue
			}
			if !strings.HasSuffix(ev.id, "-"+strconv.FormatUint(ev.Rev, 10)) {
				return ids, fmt.Errorf("the id %s stands on revision %d", ev.id, ev.Rev)
			}
			fallthrough
		case "synced":
			state = false
			if err := whole(group, w.size); err != nil {
				return ids, fmt.Errorf("%s as %s: %s: %w", w.path, w.accept, ev.name, err)
			}
			group, ids = nil, append(ids, ev.id)
		}
	}
	return ids, nil
}

// writeSets writes the whole set, or deletes it, as one until ctx ends.
func writeSets(ctx context.Context, cl *client, name int) error {
	rng := rand.New(rand.NewPCG(*seed, uint64(name)))
	for n := 0; ctx.Err() == nil; n++ {
		var b batch
		for _, i := range rng.Perm(setSize) {
			if n%7 == 6 {
				b.Ops = append(b.Ops, opDelete(setKey(i)))
			} else {
				b.Ops = append(b.Ops, opPut(setKey(i), fmt.Sprintf("%d/%d", name, n)))
			}
		}
		c := b.call()
		if n%14 == 13 {
			c = call{method: "DELETE", path: "/v1/kv?prefix=set/"}
		}
		a, err := cl.do(ctx, c)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil || a.status != 200 {
			return fmt.Errorf("batch: %v, %+v", err, a)
		}
	}
	return nil
}

// TestBatchesAreSeenWhole: while several clients write batches to the same keys,
// every list, every batch of gets and every watcher, whatever part it watches and
// wherever it resumes, sees each batch whole or not at all.
func TestBatchesAreSeenWhole(t *testing.T) {
	t.Parallel()
	s := serve(t, "--data", t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rounds(8))*300*time.Millisecond)
	defer cancel()
	var running sync.WaitGroup
	for i := range 3 {
		running.Go(func() {
			if err := writeSets(ctx, newClient(t, s), i); err != nil {
				t.Error(err)
			}
		})
	}
	report := func(name string, revs int, err error) {
		if err != nil || revs < 2 {
			t.Errorf("%s: %v, after %d revisions (seed %d)", name, err, revs, *seed)
		}
	}
	for _, r := range setReaders() {
		running.Go(func() {
			revs, err := r.loop(ctx, newClient(t, s))
			report(r.name, revs, err)
		})
	}
	for i, w := range []setWatcher{
		{"/v1/watch?prefix=set/", "text/event-stream", setSize},
		{"/v1/watch?prefix=set/", "application/x-ndjson", setSize},
		{"/v1/watch?key=set/03&key=set/11&prefix=set/0", "text/event-stream", 11},
		{"/v1/watch?key=set/03&key=set/11", "application/x-ndjson", 2},
	} {
		running.Go(func() {
			revs, err := w.loop(ctx, newClient(t, s), rand.New(rand.NewPCG(*seed, uint64(100+i))))
			report(w.path, revs, err)
		})
	}
	running.Wait()
}
