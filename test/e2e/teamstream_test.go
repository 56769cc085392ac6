package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"keywatch/test/gate"
)

// A stream is a watch over HTTP with a credential.
type stream struct {
	mu   sync.Mutex
	last int64  // the greatest number that a put told
	end  string // the code of denied or bye, "cut" if the connection broke
	done chan struct{}
}

// follow watches a/n at a server until that ends.
func (w *team) follow(i int, secret string) *stream {
	w.t.Helper()
	s := &stream{done: make(chan struct{})}
	req, err := http.NewRequestWithContext(gate.Context(w.t), "GET", "http://"+w.listen[i]+"/v1/watch?prefix=a/&state=0", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Accept", "application/x-ndjson")
	req.Header.Set("Authorization", "Bearer "+secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != 200 {
		w.t.Fatalf("watch at n%d: %v, %v", i+1, resp, err)
	}
	synced := make(chan struct{})
	go s.read(resp.Body, synced)
	select {
	case <-synced:
	case <-s.done:
		w.t.Fatalf("the watch at n%d ended with %s", i+1, s.end)
	}
	return s
}

func (s *stream) read(body io.ReadCloser, synced chan struct{}) {
	defer body.Close()
	defer close(s.done)
	in := bufio.NewScanner(body)
	for in.Scan() {
		var m struct{ Type, Key, Value, Code string }
		if json.Unmarshal(in.Bytes(), &m) != nil {
			continue
		}
		s.mu.Lock()
		switch m.Type {
		case "synced":
			close(synced)
		case "put":
			_, _ = fmt.Sscan(m.Value, &s.last)
		case "denied", "bye":
			s.end = m.Code
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == "" {
		s.end = "cut"
	}
}

// ended waits until the stream has ended, and returns why and the last number that was told.
func (s *stream) ended(t *testing.T) (code string, last int64) {
	t.Helper()
	select {
	case <-s.done:
	case <-gate.Context(t).Done():
		t.Fatal("a stream does not end")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end, s.last
}

// A count writes ever greater numbers to a/n, at any of the servers that answer.
type count struct{ sent atomic.Int64 }

func (c *count) run(w *team, secret string, stop <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		o := w.at(i%len(w.servers), secret)
		o.ask(secret, "PUT", "/v1/kv/a/n", fmt.Sprint(c.sent.Add(1)), "")
	}
}
