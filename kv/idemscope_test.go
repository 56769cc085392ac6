package kv_test

import (
	"testing"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// apply runs one command as the next entry.
func applyOne(t *testing.T, s *kv.State, index uint64, c *kv.Command) kv.Result {
	t.Helper()
	results, err := s.Apply(index, 1, kv.EncodeEntry(1000, c))
	if err != nil {
		t.Fatal(err)
	}
	return results[0]
}

// If this failed, a client whose address changed between a write and its repetition would write
// twice, or a credential's requests would be answered with another's outcomes.
func TestScopeOfAnIdempotencyKey(t *testing.T) {
	for _, c := range []struct {
		name         string
		first, again kv.Idem
		replayed     bool
	}{
		{"the same address", kv.Idem{Caller: "127.0.0.1"}, kv.Idem{Caller: "127.0.0.1"}, true},
		{"another address", kv.Idem{Caller: "127.0.0.1"}, kv.Idem{Caller: "::1"}, true},
		{"the same credential", kv.Idem{Scope: "u-1", Caller: "u-1"}, kv.Idem{Scope: "u-1", Caller: "u-1"}, true},
		{"another credential", kv.Idem{Scope: "u-1", Caller: "u-1"}, kv.Idem{Scope: "u-2", Caller: "u-2"}, false},
		{"a credential after none", kv.Idem{Caller: "::1"}, kv.Idem{Scope: "u-1", Caller: "u-1"}, false},
		{"none after a credential", kv.Idem{Scope: "u-1", Caller: "u-1"}, kv.Idem{Caller: "::1"}, false},
		// An earlier release took the address for the scope.
		{"a record of an earlier release", kv.Idem{Scope: "::1", Caller: "::1"}, kv.Idem{Caller: "::1"}, true},
		{"one for another address", kv.Idem{Scope: "::1", Caller: "::1"}, kv.Idem{Caller: "::2"}, false},
	} {
		c.first.Key, c.again.Key = "k", "k"
		s := kv.NewState(kv.StateOptions{})
		applyOne(t, s, 1, &kv.Command{Ops: []kv.Op{kvtest.Put("a", "1")}, Idem: c.first})
		if got := applyOne(t, s, 2, &kv.Command{Ops: []kv.Op{kvtest.Put("a", "1")}, Idem: c.again}); got.Replayed != c.replayed {
			t.Errorf("%s: replayed is %v, want %v", c.name, got.Replayed, c.replayed)
		}
	}
}

// If this failed, an entry could name a scope that its bytes cannot hold.
func TestScopeIsTheCallerOrNone(t *testing.T) {
	c := &kv.Command{Ops: []kv.Op{kvtest.Put("a", "1")}, Idem: kv.Idem{Scope: "u-1", Caller: "::1", Key: "k"}}
	if err := c.Validate(kv.Limits{}); err == nil {
		t.Error("a scope that is not the caller is valid")
	}
}
