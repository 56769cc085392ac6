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

// Clients repeat what they are told was not applied: if it was, a counter counts twice. Nor may
// a word be one that they do not know to repeat.
func TestWhatIsRefusedIsNotApplied(t *testing.T) {
	w := newWorld(t)
	c := w.dial()
	c.want("SET k old", "+OK")
	for err, want := range map[error]string{
		kv.ErrDiskFull: "-MISCONF disk_full", kv.ErrMemoryFull: "-OOM memory_full", kv.ErrNoLeader: "-TRYAGAIN no_leader",
		kv.ErrStarting: "-LOADING starting", kv.ErrStopping: "-TRYAGAIN stopping",
	} {
		w.log.refuse.Store(&refusal{err: err})
		for _, say := range []string{"SET k new", "INCR n", "DEL k", "APPEND k x", "GETSET k new", "MSET k new n 1", "EXPIRE k 100", "KW.CAS k 1 new"} {
			c.want(say, want)
		}
		c.want("MULTI", "+OK")
		c.want("SET k new", "+QUEUED")
		c.want("EXEC", want)
		w.log.refuse.Store(nil)
		script(t, c, "GET k => \"old\"\nTTL k => -1\nEXISTS n => 0")
	}
}

// A full queue is a matter of moments: who is told of it at once repeats the command at once.
func TestFullQueueIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.log.refuse.Store(&refusal{err: kv.ErrQueueFull, times: 3})
	c := w.dial()
	c.want("INCR n", "1")
	if n := w.log.refuse.Load().seen.Load(); n != 4 {
		t.Errorf("it was tried %d times, want 4", n)
	}
	c.want("GET n", `"1"`)
}
