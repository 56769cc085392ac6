package kv_test

import (
	"testing"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// openDirect returns a store without a queue or a disk, and its log.
func openDirect(t testing.TB, opts kv.StateOptions, params kv.Params) (*kv.Store, *kvtest.Direct) {
	t.Helper()
	state := kv.NewState(opts)
	log, err := kvtest.NewDirect(state, 7, params)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return kv.NewStore(state, log, kv.Limits{}), log
}

// A store over the bare state machine must pass the conformance suite.
func TestStoreConforms(t *testing.T) {
	kvtest.Suite(t, func(t *testing.T) kvtest.Store {
		store, _ := openDirect(t, kv.StateOptions{Presize: 64}, kv.Params{})
		return kvtest.Wrap(store)
	})
}
