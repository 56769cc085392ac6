package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// fakeStream is one open watch of the fake.
type fakeStream struct {
	f       *fake
	w       http.ResponseWriter
	matches func(key string) bool
	rev     uint64 // last revision sent
	cut     chan struct{}
}

// watch serves POST /v1/watch as NDJSON.
func (f *fake) watch(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Keys, Prefixes []string
		Since          string
		State          *bool
	}
	body, _ := io.ReadAll(r.Body)
	if json.Unmarshal(body, &q) != nil {
		reply(w, r, refused(400, "bad_json", "the body is not JSON"))
		return
	}
	f.mu.Lock()
	f.mu.seen = append(f.mu.seen, fmt.Sprintf("watch prefixes=%q since=%q", q.Prefixes, q.Since))
	s := &fakeStream{f: f, w: w, cut: f.mu.cut}
	f.mu.Unlock()
	if f.failing("watch-403") {
		reply(w, r, refused(403, "denied", "not for you"))
		return
	}
	s.matches = func(key string) bool {
		return slices.Contains(q.Keys, key) ||
			slices.ContainsFunc(q.Prefixes, func(p string) bool { return strings.HasPrefix(key, p) })
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	if f.failing("bye") {
		s.print(`{"type":"bye","code":"stopping","retry_ms":20}`)
		return
	}
	s.open(q.Since, q.State != nil && !*q.State)
	s.follow(r)
}

func (s *fakeStream) print(line string) {
	io.WriteString(s.w, line+"\n")
	http.NewResponseController(s.w).Flush()
}

// event prints an event; rev is its position if it has one.
func (s *fakeStream) event(data string, rev uint64, hasPos bool) {
	if hasPos {
		data = fmt.Sprintf(`%s,"pos":"%s-%d"}`, strings.TrimSuffix(data, "}"), fakeEpoch, rev)
	}
	s.print(data)
}

// open starts the stream at a position, or with the state.
func (s *fakeStream) open(position string, live bool) {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	epoch, rev, _ := strings.Cut(position, "-")
	n, err := strconv.ParseUint(rev, 10, 64)
	if err == nil && epoch == fakeEpoch && n > 0 && s.f.mu.faults["forget"] == 0 {
		s.rev = n
		return
	}
	s.rev = s.f.mu.rev
	if !live || position != "" {
		s.event(`{"type":"reset"}`, 0, true)
		for _, k := range s.f.under("") {
			if s.matches(k) {
				s.event(s.f.mu.entries[k].event(), 0, false)
			}
		}
		if s.f.failingLocked("cut-state") {
			panic(http.ErrAbortHandler)
		}
	}
	s.event(`{"type":"synced"}`, s.rev, true)
}

// follow sends what changes until the watch ends.
func (s *fakeStream) follow(r *http.Request) {
	for {
		s.f.mu.Lock()
		changed := s.f.mu.changed
		var events []fakeEvent
		for _, e := range s.f.mu.events {
			if e.rev > s.rev && s.matches(e.key) {
				events = append(events, e)
			}
		}
		s.rev = s.f.mu.rev
		s.f.mu.Unlock()
		s.send(events)
		select {
		case <-changed:
		case <-s.cut:
			panic(http.ErrAbortHandler)
		case <-r.Context().Done():
			return
		}
	}
}

func (s *fakeStream) send(events []fakeEvent) {
	for i, e := range events {
		last := i == len(events)-1 || events[i+1].rev != e.rev
		if last && s.f.failing("cut-revision") {
			panic(http.ErrAbortHandler) // all but the last of the revision is out
		}
		s.event(e.data, e.rev, last)
		if s.f.failing("denied") {
			s.event(`{"type":"denied"}`, 0, false)
			return
		}
	}
}
