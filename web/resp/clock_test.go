package resp

import (
	"testing"
	"testing/synctest"
	"time"
)

// If the distance moved while the two clocks agree, a time at which a key is to end would not be given
// back as it was set; if it stayed after time in which no server ran, keys would be said to end
// sooner than they do.
func TestDistanceOfClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wallClock
		began, behind := time.Now(), time.Duration(0)
		log := func() int64 { return (time.Since(began) - behind).Milliseconds() }
		first := w.distance(log(), log)
		if want := began.UnixMilli(); first != want {
			t.Fatalf("at first: got %d, want %d", first, want)
		}
		for range 5 {
			time.Sleep(time.Hour + 300*time.Microsecond)
			behind += 150 * time.Millisecond
			if got := w.distance(log(), log); got != first {
				t.Errorf("%v behind: got %d, want %d", behind, got, first)
			}
		}
		behind += time.Hour // no server ran
		got := w.distance(log(), log)
		if want := first + behind.Milliseconds(); got != want {
			t.Errorf("after an hour without a server: got %d, want %d", got, want)
		}
		time.Sleep(time.Minute)
		if again := w.distance(log(), log); again != got {
			t.Errorf("later: got %d, want %d", again, got)
		}
	})
}

// If a time of day became another deadline than the one that it is shown as, EXPIREAT of what EXPIRETIME
// said would move a key's end.
func TestTimeOfDayIsGivenBack(t *testing.T) {
	for _, distance := range []int64{0, 1, 1_700_000_000_123, -500} {
		c := &call{at: 10_000, offset: distance, timed: true}
		for _, ahead := range []int64{1, 999, 1000, 86_400_000} {
			at := c.logTime() + distance + ahead
			e := c.ending(at, true)
			if e.past || e.at+distance != at {
				t.Errorf("%d ms ahead at distance %d: got log time %d, want %d", ahead, distance, e.at, at-distance)
			}
		}
		if e := c.ending(c.logTime()+distance, true); !e.past {
			t.Errorf("now, at distance %d, is ahead", distance)
		}
	}
}
