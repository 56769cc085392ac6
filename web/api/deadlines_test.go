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
		first := d.Context()
		if d.Context() != first {
			t.Error("two requests of one moment have two contexts")
		}
		time.Sleep(2 * time.Second)
		if d.Context() == first {
			t.Error("a request has the context of one that began two seconds before it")
		}
		<-first.Done()
		if got := time.Since(start); got < 10*time.Second || got > 11*time.Second {
			t.Errorf("a request had %v, want 10 s and up to one more", got)
		}
		time.Sleep(time.Minute) // nothing asks meanwhile, or a body is long in coming
		last := d.Context()
		if err := last.Err(); err != nil {
			t.Errorf("a request that comes after a pause has %v at once", err)
		}
		end()
		if last.Err() == nil {
			t.Error("a request outlives the server")
		}
		d.Close()
	})
}
