package api_test

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"keywatch/kv"
	"keywatch/web/api"
)

// A cursor of another list would begin a page where the client does not expect it.
func TestParseCursor(t *testing.T) {
	if after, err := api.ParseCursor("MWEvYg", "a/"); after != "a/b" || err != nil {
		t.Errorf("got %q, %v", after, err)
	}
	for _, cursor := range []string{"", "MWEvYg==", "MmEvYg", "MQ", "?"} {
		if after, err := api.ParseCursor(cursor, "a/"); codeOf(err) != "bad_parameter" {
			t.Errorf("%q: got %q, %v", cursor, after, err)
		}
	}
	if _, err := api.ParseCursor("MWEvYg", "b/"); codeOf(err) != "bad_parameter" {
		t.Errorf("got %v for another prefix", err)
	}
}

// If this failed, clients that ask for large pages at once would each hold a processor for
// milliseconds, and every write would wait for all of them.
func TestPageLetsOthersRun(t *testing.T) {
	// One processor: a goroutine that is started does not run before this one gives way.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	// More than one turn: the scheduler may give one to a goroutine again that has just given way.
	const entries = 300
	state := kv.NewState(kv.StateOptions{})
	var b kv.EntryBuilder
	b.Reset(nil)
	for i := range entries {
		b.Add(&kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: fmt.Sprintf("k%03d", i)}}})
	}
	if _, err := state.Apply(1, 1, b.Finish(0)); err != nil {
		t.Fatal(err)
	}
	snap, err := state.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	var ran atomic.Bool
	go ran.Store(true)
	l := api.List{Limit: entries}
	if _, err := l.AppendPage(t.Context(), make([]byte, 0, 32<<10), snap, 0, nil); err != nil {
		t.Fatal(err)
	}
	if !ran.Load() {
		t.Errorf("no other goroutine ran while a page of %d entries was written", entries)
	}
}
