//go:build !race

package auth_test

import (
	"testing"

	"keywatch/kv"
)

// If this failed, a write by a caller with a credential would cost more than one on a server that asks for
// none: to be allowed must not take memory.
func TestAllowingAWriteAllocatesNothing(t *testing.T) {
	r := newRig(t)
	view := r.as(r.user("ann", "write:a/", "write:b"))
	command := func() *kv.Command {
		return &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: "a/1", Value: []byte("x")}}}
	}
	bare := testing.AllocsPerRun(500, func() { _, _ = r.store.BeginNow(command()) })
	if asked := testing.AllocsPerRun(500, func() { _, _ = view.StartNow(command()) }); asked != bare {
		t.Errorf("a write allocates %v times through the door, want %v as without", asked, bare)
	}
}
