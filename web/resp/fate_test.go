package resp_test

import (
	"context"
	"testing"
	"time"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/web/api"
	"keywatch/web/resp"
)

// A log that takes commands and never says what became of them.
type lostLog struct{ *slowLog }

type lostPending struct{}

func (lostPending) Done() <-chan struct{}             { return nil }
func (lostPending) Result() (kv.Result, error)        { panic("it is not known") }
func (lostPending) Notify(kv.Waker)                   {}
func (lostLog) Begin(*kv.Command) (kv.Pending, error) { return lostPending{}, nil }

// A write whose fate is not known must say so in time, or its client waits for ever; and it must
// be a word that no client repeats.
func TestOutcomeUnknown(t *testing.T) {
	life, kill := context.WithCancel(context.Background())
	defer kill()
	w := newWorld(t, func(o *resp.Options) {
		o.Door = auth.NewDoor(kv.NewStore(o.Door.Server().State(), lostLog{newSlowLog(t, kv.NewState(kv.StateOptions{Presize: 64}))}, kv.Limits{}), o.Door.Hub(), nil)
		o.Deadlines = api.NewDeadlines(life, time.Millisecond)
	})
	c := w.dial()
	c.send(encode("SET", "a", "1") + encode("PING"))
	for _, want := range []string{"-UNKNOWN outcome_unknown", "+PONG"} {
		if got := c.reply(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
