package resp

import (
	"errors"
	"testing"

	"keywatch/ratelimit"
)

// What waits for subscribers that do not read must count as the memory of clients: if each had a
// bound of its own only, a thousand of them would take all there is.
func TestMessagesThatWaitAreCharged(t *testing.T) {
	const limit = 4 << 20
	budget := ratelimit.NewBudget(limit, limit)
	hold := budget.Open("ann")
	var p pushes
	message := pushed{text: make([]byte, 1000)}
	sent, err := 0, error(nil)
	for ; err == nil; sent++ {
		if sent > limit/1000 {
			t.Fatalf("%d messages wait", sent)
		}
		err = p.enqueue(message, &hold)
	}
	var full *ratelimit.FullError
	if !errors.As(err, &full) || len(p.list) != sent-1 {
		t.Errorf("after %d messages: got %v, %d wait", sent, err, len(p.list))
	}
	if used := budget.Used(); used < limit/4 || used > limit/2 {
		t.Errorf("%d bytes are charged, want up to the half of %d that is for watches", used, limit)
	}
	if err := p.enqueue(message, &hold); err != nil || len(p.list) != sent-1 {
		t.Errorf("one more: got %v, %d wait", err, len(p.list))
	}
	p.takenLocked(p.bytes/2, &hold)
	if used := budget.Used(); used > limit/4 {
		t.Errorf("half is told, %d bytes are charged", used)
	}
	if p.takenLocked(p.bytes, &hold); budget.Used() != 0 {
		t.Errorf("all is told, %d bytes are charged", budget.Used())
	}
}

// Where memory has no bound one subscriber must not take all of it.
func TestMessagesThatWaitAreBounded(t *testing.T) {
	var p pushes
	var hold ratelimit.Hold
	message := pushed{text: make([]byte, 1<<20)}
	for n := range 20 {
		switch err := p.enqueue(message, &hold); {
		case err == nil:
		case err != errBehind || n < maxPushed>>20 || p.bytes > maxPushed+2<<20:
			t.Fatalf("message %d: got %v, %d bytes wait", n, err, p.bytes)
		default:
			return
		}
	}
	t.Errorf("%d bytes wait", p.bytes)
}
