package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// If an outcome that is not known were forgotten over a later refusal, a
// script would think that nothing was applied; if retrying did not stop, it
// would hang; if it stopped early, a restart of the server would be a failure.
func TestRetry(t *testing.T) {
	lost := &lostError{errors.New("lost")}
	unreachable := &unreachableError{errors.New("unreachable")}
	full := &problem{Status: 503, Code: "queue_full", retryAfter: "0"}
	later := &problem{Status: 503, Code: "no_leader", retryAfter: "3600"}
	unknown := &problem{Status: 504, Code: "outcome_unknown"}
	refused := &problem{Status: 412, Code: "compare_failed"}
	for _, c := range []struct {
		name    string
		answers []error // the last one stays
		want    error
		tries   int // 0 is as often as time allows
	}{
		{"success", []error{nil}, nil, 1},
		{"refused for good", []error{refused}, refused, 1},
		{"not applied, then done", []error{full, full, nil}, nil, 3},
		{"lost, then done", []error{lost, nil}, nil, 2},
		{"lost, then refused for good", []error{lost, refused}, refused, 2},
		{"lost, then told to come back too late", []error{lost, later}, lost, 2},
		{"unknown, then not applied again and again", []error{unknown, full}, unknown, 0},
		{"unknown, then gone", []error{unknown, unreachable}, unknown, 0},
		{"never reached", []error{unreachable}, unreachable, 1},
		{"restarting", []error{full, unreachable, unreachable, nil}, nil, 4},
		{"lost for ever", []error{lost}, lost, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			began, tries := time.Now(), 0
			got := retry(context.Background(), began.Add(30*time.Second), func() error {
				tries++
				return c.answers[min(tries, len(c.answers))-1]
			})
			if got != c.want {
				t.Errorf("%s: got %v, want %v", c.name, got, c.want)
			}
			if c.tries > 0 && tries != c.tries || c.tries == 0 && (tries < 5 || tries > 1000) {
				t.Errorf("%s: tried %d times, want %d (0: 5 to 1000)", c.name, tries, c.tries)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("%s: took %v, want at most 30s", c.name, took)
			}
		})
	}
}

// If an interrupt did not end the waiting, Ctrl-C would seem to be ignored.
func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		began := time.Now()
		slow := &problem{Status: 503, retryAfter: "20"}
		if got := retry(ctx, began.Add(time.Hour), func() error { return slow }); got != slow {
			t.Errorf("got %v, want %v", got, slow)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("took %v, want 1s", took)
		}
	})
}
