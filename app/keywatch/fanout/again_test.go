//go:build linux

package fanout_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/app/keywatch/fanout"
)

// Without it a load that drops thousands of connections would blame the server for
// refusing a write in the crowd, though it said that it was not applied, or for
// refusing the connection of the writer.
func TestRefusedWritesAreSentAgain(t *testing.T) {
	var puts, refused, strangers atomic.Int64
	var greeted sync.Map
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			greeted.LoadOrStore(r.RemoteAddr, puts.Load() == 0)
			return
		}
		if before, _ := greeted.Load(r.RemoteAddr); before != true {
			strangers.Add(1)
		}
		switch {
		case puts.Add(1)%3 == 1:
			w.WriteHeader([]int{http.StatusTooManyRequests, http.StatusServiceUnavailable}[refused.Add(1)%2])
		}
	}))
	defer s.Close()
	r := run(t, fanout.Options{
		Server: s.URL, Transport: fanout.SSE, Keys: 1, Size: 64, Rate: 100, Conns: 2, Prefix: "k",
		Duration: 200 * time.Millisecond, Settle: time.Millisecond,
	})
	if len(r.Errors) > 0 || r.Published == 0 || r.Again == 0 || int64(r.Again) != refused.Load() || r.Published != uint64(puts.Load()-refused.Load()) {
		t.Errorf("got %+v of %d puts, %d refused", r, puts.Load(), refused.Load())
	}
	if n := strangers.Load(); n > 0 {
		t.Errorf("%d puts came on connections that were not there from the beginning", n)
	}
}
