package reactor

import (
	"testing"
	"time"
)

// If this failed, a pause of the process would end sockets whose peers have answered meanwhile:
// the time of their silence would be looked at before what they have sent.
func TestLateTimerReadsFirst(t *testing.T) {
	for late, want := range map[time.Duration]uint32{
		0:                           told | timed,
		lateTimer - time.Nanosecond: told | timed,
		lateTimer:                   queued | timed | readable | writable,
		lateTimer + time.Hour:       queued | timed | readable | writable,
		-time.Nanosecond:            0,
	} {
		l, err := newLoop(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer l.poller.close()
		s := &sock{loop: l}
		due := time.Minute
		l.schedule(s, int64(due))
		l.expire(l.began.Add(due + late))
		if got := s.state.Load(); got != want {
			t.Errorf("looked at %v late: got %b, want %b", late, got, want)
		}
	}
}
