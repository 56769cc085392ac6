package kv_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"keywatch/kv"
)

// crowds are commands of which each leaves something behind that ends within two seconds.
var crowds = map[string]func(i int) *kv.Command{
	"keys": func(i int) *kv.Command {
		return &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: fmt.Sprint("k", i), TTL: time.Second}}}
	},
	"outcomes": func(i int) *kv.Command {
		return &kv.Command{
			Ops:  []kv.Op{{Kind: kv.OpPut, Key: "k", TTL: time.Second}},
			Idem: kv.Idem{Caller: fmt.Sprint("caller", i), Key: fmt.Sprint("key", i)},
		}
	},
	"leases": func(i int) *kv.Command {
		return &kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: kv.NewLeaseID(), TTL: time.Second, Caller: fmt.Sprint("caller", i)}}
	},
	"locks": func(i int) *kv.Command {
		return &kv.Command{Lock: &kv.LockCommand{
			Kind: kv.LockAcquire, ID: kv.NewLeaseID(), Name: fmt.Sprint("lock", i/2), TTL: time.Second, WaitTTL: time.Second,
		}}
	},
}

// If this failed, a crowd that has left would hold memory for ever that counts nowhere: maps of
// Go never become smaller.
func TestMemoryOfACrowdIsGivenBack(t *testing.T) {
	const n = 30_000
	for name, command := range crowds {
		t.Run(name, func(t *testing.T) {
			store, log := openDirect(t, kv.StateOptions{Presize: 64}, kv.Params{TombstoneAge: time.Second, IdemAge: time.Second})
			base := inUse()
			for i := range n {
				if _, err := store.Do(t.Context(), command(i)); err != nil {
					t.Fatal(err)
				}
			}
			crowded := inUse() - base
			for range n/1000 + 3 { // an entry ends up to a thousand
				if err := log.Advance(5000); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				c, err := store.State().Freeze()
				if err != nil {
					t.Fatal(err)
				}
				c.Commit()
			}
			left := inUse() - base
			if store.State().Used() > 0 || left > crowded/8 {
				t.Errorf("of %d KiB for %d %s %d KiB are left, want at most an eighth; %d bytes are counted, want 0",
					crowded>>10, n, name, left>>10, store.State().Used())
			}
			runtime.KeepAlive(store)
		})
	}
}

// inUse returns the memory that is reachable, in bytes.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
