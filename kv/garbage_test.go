package kv_test

import (
	"runtime"
	"testing"
	"weak"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// current returns a weak pointer to the newest version of key.
func current(s *kv.State, key string) weak.Pointer[kv.Entry] {
	e, _ := s.Get(key)
	return weak.Make(e)
}

func freed(p weak.Pointer[kv.Entry]) bool {
	for range 10 {
		runtime.GC()
		if p.Value() == nil {
			return true
		}
	}
	return false
}

// A version that was replaced must be let go: at once if no snapshot sees it,
// even where one log entry replaced it twice, and else with the last snapshot
// that does.
func TestReplacedVersionsAreLetGo(t *testing.T) {
	s := kv.NewState(kv.StateOptions{Presize: 1})
	index := uint64(0)
	put := func(values ...string) {
		var commands []*kv.Command
		for _, v := range values {
			commands = append(commands, &kv.Command{Ops: []kv.Op{kvtest.Put("k", v)}})
		}
		index++
		if _, err := s.Apply(index, 1, kv.EncodeEntry(0, commands...)); err != nil {
			t.Fatal(err)
		}
	}
	put("1")
	first := current(s, "k")
	put("2", "3", "4")
	if !freed(first) {
		t.Errorf("a version replaced by an entry that wrote its key three times is still held")
	}
	seen := current(s, "k")
	old, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	put("5")
	young, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	put("6", "7")
	young.Close()
	if freed(seen) || old.Get("k").Value() != "4" {
		t.Errorf("a version that a snapshot sees was let go")
	}
	old.Close()
	if !freed(seen) {
		t.Errorf("a version that only a closed snapshot saw is still held")
	}
	runtime.KeepAlive(s)
}
