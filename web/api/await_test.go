package api_test

import (
	"context"
	"testing"

	"keywatch/kv"
	"keywatch/kv/kvtest"
	"keywatch/watch"
	"keywatch/web/api"
)

// behind is the log of a server that is some entries behind until it is asked for what was
// acknowledged.
type behind struct {
	kv.Log
	asked   int
	catchUp func()
}

func (b *behind) ReadBarrier(context.Context) error {
	b.asked++
	b.catchUp()
	return nil
}

// A watcher that comes from a server which was ahead must not be reset, and one that this server can
// serve must not wait.
func TestWatchWaitsForItsPosition(t *testing.T) {
	for name, c := range map[string]struct {
		since string
		asked int
	}{
		"none":          {"", 0},
		"behind":        {"00000007-1", 0},
		"ahead":         {"00000007-2", 1},
		"another epoch": {"00000009-1", 1},
		"malformed":     {"x", 0},
	} {
		state := kv.NewState(kv.StateOptions{Presize: 64})
		apply := func(index uint64, steps ...kvtest.Step) {
			if _, err := state.Apply(index, 1, kvtest.Encode(1, steps)); err != nil {
				t.Fatal(err)
			}
		}
		put := kvtest.Step{Command: &kv.Command{Ops: []kv.Op{kvtest.Put("k", "v")}}}
		apply(1, kvtest.Step{Setup: &kv.Setup{Epoch: 7}}, put)
		log := &behind{catchUp: func() { apply(2, put) }}
		api.AwaitPosition(t.Context(), kv.NewStore(state, log, kv.Limits{}), &watch.Request{Since: c.since})
		if log.asked != c.asked {
			t.Errorf("%s: asked %d times, want %d", name, log.asked, c.asked)
		}
	}
}
