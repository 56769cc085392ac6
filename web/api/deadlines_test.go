package api_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/web/api"
)

// If a deadline came before its time, requests would fail that could be answered;
// if each had a timer, they would cost more.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life, end := context.WithCancel(t.Context())
		d := api.NewDeadlines(life, 10*time.Second)
		start := time.Now()
		first := d.Context(start)
		if d.Context(start) != first {
			t.Error("two requests of one moment have two contexts")
		}
		later := d.Context(start.Add(2 * time.Second))
		if later == first || d.Context(start) != later {
			t.Error("a request whose body was long in coming has a context of its own, and so have those after it")
		}
		<-first.Done()
		if got := time.Since(start); got < 10*time.Second || got > 11*time.Second {
			t.Errorf("a request had %v, want 10 s and up to one more", got)
		}
		last := d.Context(time.Now())
		end()
		if last.Err() == nil {
			t.Error("a request outlives the server")
		}
		d.Close()
	})
}
