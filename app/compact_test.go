package app_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"keywatch/app"
)

// fileSize returns the length of the checkpoint file in bytes.
func fileSize(t *testing.T, dir string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "checkpoint.db"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// If compaction needed a server at rest, or what it gave back were taken again by the
// next checkpoint, a disk that is full would stay so.
func TestCompactUnderLoadGivesSpaceBack(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, app.Config{Data: dir, Fsync: "interval"})
	for i := range 4000 {
		if _, err := e.Put(t.Context(), fmt.Sprintf("k/%04d", i), []byte(bulky("k", uint64(i)))); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 3900 {
		if _, err := e.Delete(t.Context(), fmt.Sprintf("k/%04d", i)); err != nil {
			t.Fatal(err)
		}
	}
	before := fileSize(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var during atomic.Int64
	for i := range 2 {
		w := &worker{t: t, engine: e, prefix: fmt.Sprintf("w%d", i), rnd: rand.New(rand.NewPCG(8, uint64(i))), want: make(map[string]string)}
		load.Go(func() {
			for n := 0; n < 200 || ctx.Err() == nil; n++ {
				w.step()
				during.Add(1)
			}
			w.checkAll()
		})
	}
	from := during.Load()
	for range 3 {
		if err := e.Compact(t.Context()); err != nil {
			t.Error(err)
		}
	}
	served := during.Load() - from
	cancel()
	load.Wait()
	if err := e.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := fileSize(t, dir)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	live := e.Status().Checkpoint.LiveBytes
	closed := fileSize(t, dir)
	t.Logf("%d bytes before, %d after, %d after a stop, %d alive; %d requests served meanwhile", before, after, closed, live, served)
	if served == 0 {
		t.Error("nothing was served while it went on")
	}
	if most := live + live/4 + 1<<20; after > most || closed > most {
		t.Errorf("%d bytes, and %d after a stop, for %d that are alive", after, closed, live)
	}
}
