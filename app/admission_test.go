package app_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/kv"
	"keywatch/kv/lock"
	"keywatch/test/gate"
)

// crowded reports whether a write was refused for want of memory, or because of what
// waits for the log.
func crowded(err error) bool {
	return errors.Is(err, kv.ErrMemoryFull) || errors.Is(err, kv.ErrQueueFull)
}

// soon calls write until it is not refused for want of room. On a machine that is
// busy a checkpoint may take longer than a writer waits; for ever is a fault.
func soon(t *testing.T, what string, write func() error) {
	t.Helper()
	err := write()
	for ctx := gate.Context(t); crowded(err) && ctx.Err() == nil; {
		err = write()
	}
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// large returns a batch of n values of size bytes each.
func large(name string, n, size int) *kv.Command {
	c := &kv.Command{}
	for i := range n {
		c.Ops = append(c.Ops, kv.Op{Kind: kv.OpPut, Key: fmt.Sprintf("%s/%d", name, i), Value: make([]byte, size)})
	}
	return c
}

// Who waits for room must count when it is decided whether to evict: otherwise use stays
// between the mark where eviction begins and where the write fits, for ever.
func TestLargeBatchesGetRoom(t *testing.T) {
	e := openEngine(t, app.Config{Data: t.TempDir(), Fsync: "interval", MemoryMax: 8 << 20, History: 2 << 20, CheckpointBytes: 64 << 20})
	for i := range 30 {
		soon(t, fmt.Sprintf("batch %d of 860 KB into 8 MiB", i), func() error {
			_, err := e.Do(t.Context(), large(fmt.Sprint(i), 10, 86_000))
			return err
		})
	}
	if s := e.Status().Memory; s.Used > s.Limit {
		t.Errorf("used %d of %d bytes", s.Used, s.Limit)
	}
}

// A reader that has stalled must lose its snapshot before a writer is refused, be it
// that the old versions take the memory or that the new ones cannot leave it.
func TestStalledReaderLosesItsSnapshot(t *testing.T) {
	for _, c := range []struct {
		name       string
		old, size  int
		memoryOnly bool
	}{{"large versions are kept", 20_000, 20_000, false}, {"small versions are kept", 100, 60_000, false}, {"in memory only", 20_000, 20_000, true}} {
		t.Run(c.name, func(t *testing.T) {
			config := app.Config{MemoryOnly: c.memoryOnly, MemoryMax: 4 << 20, History: 256 << 10}
			if !c.memoryOnly {
				config.Data, config.Fsync = t.TempDir(), "interval"
			}
			e := openEngine(t, config)
			const keys = 100
			put := func(i, size int) error {
				_, err := e.Put(t.Context(), fmt.Sprint("k", i%keys), []byte(strings.Repeat("x", size)))
				return err
			}
			for i := range keys {
				soon(t, "fill", func() error { return put(i, c.old) })
			}
			stalled, err := e.Store().Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer stalled.Close()
			for i := range 3 * keys {
				soon(t, "write beside a stalled reader", func() error { return put(i, c.size) })
			}
			if stalled.Err() == nil {
				t.Error("the snapshot is there still")
			}
			if s := e.Status().Memory; s.Used > s.Limit {
				t.Errorf("used %d of %d bytes", s.Used, s.Limit)
			}
		})
	}
}

// Whatever adds to the state must pass the gate, and what takes from it never wait
// there: locks and leases are never evicted.
func TestLocksAndLeasesPassTheGate(t *testing.T) {
	owner := strings.Repeat("o", 1000)
	for name, add := range map[string]func(e *app.Engine, i int) (kv.Result, error){
		"locks": func(e *app.Engine, i int) (kv.Result, error) {
			return e.Lock(t.Context(), lock.Request{Name: fmt.Sprint("l", i), TTL: time.Hour, Owner: owner})
		},
		"leases": func(e *app.Engine, i int) (kv.Result, error) {
			return e.Store().Grant(t.Context(), owner, time.Hour, kv.Idem{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := openEngine(t, app.Config{Data: t.TempDir(), Fsync: "interval", MemoryMax: 2 << 20, History: 256 << 10})
			var got []kv.LeaseID
			var err error
			for len(got) < 10_000 {
				var r kv.Result
				if r, err = add(e, len(got)); err != nil {
					break
				}
				got = append(got, r.Lease.ID)
			}
			if !errors.Is(err, kv.ErrMemoryFull) || !strings.Contains(err.Error(), "--memory-max") {
				t.Fatalf("after %d: got %v, want a refusal that names --memory-max", len(got), err)
			}
			if s := e.Status().Memory; s.Used > s.Limit || s.Leases == 0 {
				t.Errorf("got %+v, want use below the limit, and leases counted", s)
			}
			for _, id := range got {
				if _, err := e.KeepAlive(t.Context(), id); err != nil {
					t.Fatalf("renew at the limit: %v", err)
				}
				if _, err := e.Revoke(t.Context(), id); err != nil {
					t.Fatalf("revoke at the limit: %v", err)
				}
			}
			if s := e.Status().Memory; s.Leases != 0 {
				t.Errorf("%d bytes of leases are counted once all have ended", s.Leases)
			}
			soon(t, "once all have ended", func() error { _, err := add(e, 20_000); return err })
		})
	}
}

// Keys that were deleted must give room to others, although they are remembered.
func TestDeletedKeysMakeRoom(t *testing.T) {
	e := openEngine(t, app.Config{MemoryOnly: true, MemoryMax: 2 << 20, History: 64 << 10})
	n, err := 0, error(nil)
	for ; err == nil && n < 100_000; n++ {
		_, err = e.Put(t.Context(), fmt.Sprint("old", n), nil)
	}
	if !errors.Is(err, kv.ErrMemoryFull) {
		t.Fatalf("after %d keys: got %v, want %v", n, err, kv.ErrMemoryFull)
	}
	for i := range n {
		if _, err := e.Delete(t.Context(), fmt.Sprint("old", i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n / 2 {
		soon(t, "after all keys were deleted", func() error { _, err := e.Put(t.Context(), fmt.Sprint("new", i), nil); return err })
	}
}

// Who gives up waiting must not keep room from others, nor may one who waits for much
// be passed by all who need little.
func TestWritersGetRoomInTurn(t *testing.T) {
	e := openEngine(t, app.Config{Data: t.TempDir(), Fsync: "interval", MemoryMax: 4 << 20, History: 256 << 10})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	stop := make(chan struct{})
	small := make(chan struct{})
	go func() {
		defer close(small)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := e.Put(t.Context(), fmt.Sprint("small", i%500), make([]byte, 4<<10)); err != nil && !crowded(err) {
				t.Error(err)
			}
		}
	}()
	for i := range 20 {
		_, err := e.Do(ended, large("given up", 10, 90_000))
		if err != nil && !errors.Is(err, context.Canceled) && !crowded(err) && !errors.Is(err, kv.ErrOutcomeUnknown) {
			t.Fatalf("with a context that has ended: %v", err)
		}
		soon(t, fmt.Sprintf("large batch %d beside small writes", i), func() error {
			_, err := e.Do(t.Context(), large("large", 10, 90_000))
			return err
		})
	}
	close(stop)
	<-small
}
