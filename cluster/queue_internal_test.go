package cluster

import (
	"testing"

	"keywatch/kv"
)

// If a change of settings shared its batch with commands, those would be answered with it, and refused with it.
func TestSettingsHaveABatchOfTheirOwn(t *testing.T) {
	var q queue
	q.init(Options{}.withDefaults())
	put := &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: "a"}}}
	before, _, err := q.add(put)
	if err != nil {
		t.Fatal(err)
	}
	setup := q.addSetup(kv.Setup{})
	after, place, err := q.add(put)
	if err != nil {
		t.Fatal(err)
	}
	if setup == before || setup == after || setup.builder.Len() != 1 || place != 0 {
		t.Errorf("settings share a batch of %d commands", setup.builder.Len())
	}
	for _, want := range []*batch{before, setup, after, nil} {
		if got := q.take(); got != want {
			t.Error("the batches are not taken in order")
		}
	}
}
