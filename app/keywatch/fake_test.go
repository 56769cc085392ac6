package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// fake is a server that keeps the promises the client commands rely on, in
// memory and without conveniences. What it should do wrong is set with fail.
type fake struct {
	url string

	mu struct {
		sync.Mutex
		rev     uint64
		entries map[string]fakeEntry
		events  []fakeEvent
		changed chan struct{}      // closed at the next change
		cut     chan struct{}      // closed to break all watches
		done    map[string]fakeOut // by Idempotency-Key
		faults  map[string]int     // by name, how often still
		seen    []string           // requests
	}
}

type fakeEntry struct {
	Key       string `json:"key"`
	Value     string `json:"value"`
	Encoding  string `json:"encoding,omitempty"`
	Rev       uint64 `json:"rev"`
	CreateRev uint64 `json:"create_rev"`
	Version   uint64 `json:"version"`
	TTL       int64  `json:"ttl_ms,omitempty"`
	bytes     string
}

type fakeEvent struct {
	rev  uint64
	key  string
	data string
}

// fakeOut is an answer.
type fakeOut struct {
	status int
	etag   string
	body   any
}

const fakeEpoch = "7f3a9c21"

func newFake(t testing.TB) *fake {
	f := new(fake)
	f.mu.entries = map[string]fakeEntry{}
	f.mu.done = map[string]fakeOut{}
	f.mu.faults = map[string]int{}
	f.mu.changed, f.mu.cut = make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/kv", f.write(f.prefix))
	mux.HandleFunc("/v1/kv/{key...}", f.write(f.key))
	mux.HandleFunc("POST /v1/cas/{key...}", f.write(f.cas))
	mux.HandleFunc("POST /v1/batch", f.write(f.batch))
	mux.HandleFunc("POST /v1/watch", f.watch)
	mux.HandleFunc("GET /v1/status", f.status)
	mux.HandleFunc("GET /v1/admin/backup", f.backup)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "//") { // the mux would redirect
			reply(w, r, refused(400, "bad_key", "the key has an empty segment"))
			return
		}
		mux.ServeHTTP(w, r)
	}))
	f.url = server.URL
	t.Cleanup(func() {
		f.cutWatches()
		server.Close()
	})
	return f
}

// fail makes the fake misbehave n times in the named way.
func (f *fake) fail(name string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.faults[name] = n
}

// failing takes one of the faults of that name, if there is one left.
func (f *fake) failing(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failingLocked(name)
}

func (f *fake) failingLocked(name string) bool {
	if f.mu.faults[name] == 0 {
		return false
	}
	f.mu.faults[name]--
	return true
}

// cutWatches breaks every open watch.
func (f *fake) cutWatches() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.mu.cut)
	f.mu.cut = make(chan struct{})
}

// requests returns the log of requests and empties it.
func (f *fake) requests() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	log := strings.Join(f.mu.seen, "\n") + "\n"
	f.mu.seen = nil
	return log
}

func refused(status int, code, detail string) fakeOut {
	return fakeOut{status: status, body: map[string]any{"status": status, "code": code, "title": http.StatusText(status), "detail": detail}}
}

// write wraps a handler that answers at once with faults and idempotency.
func (f *fake) write(serve func(*http.Request, string) fakeOut) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		defer f.mu.Unlock()
		id := r.Header.Get("Idempotency-Key")
		key := "no"
		if id != "" {
			key = "with"
		}
		f.mu.seen = append(f.mu.seen, fmt.Sprintf("%s %s %s key", r.Method, r.URL.RequestURI(), key))
		for _, fault := range []struct {
			name, code string
			status     int
		}{{"503", "queue_full", 503}, {"504", "outcome_unknown", 504}, {"429", "rate_limited", 429}} {
			if f.failingLocked(fault.name) {
				w.Header().Set("Retry-After", "0")
				if f.failingLocked("long") {
					w.Header().Set("Retry-After", "3600")
				}
				reply(w, r, refused(fault.status, fault.code, "try again"))
				return
			}
		}
		out, again := f.mu.done[id]
		if !again || id == "" {
			out = serve(r, string(body))
			f.mu.done[id] = out
		}
		if f.failingLocked("drop-answer") {
			panic(http.ErrAbortHandler)
		}
		reply(w, r, out)
	}
}

func reply(w http.ResponseWriter, r *http.Request, out fakeOut) {
	if out.etag != "" {
		w.Header().Set("ETag", out.etag)
	}
	w.Header().Set("Keywatch-Position", fakeEpoch+"-0")
	raw, isRaw := out.body.(string)
	switch {
	case isRaw:
		w.WriteHeader(out.status)
		io.WriteString(w, raw)
	case out.body == nil:
		w.WriteHeader(out.status)
	default:
		if out.status >= 400 {
			w.Header().Set("Content-Type", "application/problem+json")
		}
		w.WriteHeader(out.status)
		json.NewEncoder(w).Encode(out.body)
	}
}

func etag(rev uint64) string { return fmt.Sprintf(`"%s-%d"`, fakeEpoch, rev) }

// key serves /v1/kv/{key}.
func (f *fake) key(r *http.Request, body string) fakeOut {
	key := r.PathValue("key")
	e, ok := f.mu.entries[key]
	match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
	if match != "" && (!ok || match != etag(e.Rev)) || none != "" && ok {
		return f.compareFailed(e, ok)
	}
	switch r.Method {
	case http.MethodPut:
		ttl, err := ttlMillis(r.URL.Query().Get("ttl"))
		if err != nil {
			return refused(400, "bad_duration", "the ttl is not a duration")
		}
		f.mu.rev++
		return f.put(key, body, ttl)
	case http.MethodDelete:
		if !ok {
			return refused(404, "key_not_found", "no such key")
		}
		f.mu.rev++
		f.remove(key)
		return fakeOut{status: 204}
	}
	if !ok {
		return refused(404, "key_not_found", "no such key")
	}
	if r.Header.Get("Accept") == "application/json" {
		return fakeOut{200, etag(e.Rev), e}
	}
	return fakeOut{200, etag(e.Rev), e.bytes}
}

func ttlMillis(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	return d.Milliseconds(), err
}

func (f *fake) compareFailed(e fakeEntry, ok bool) fakeOut {
	out := refused(412, "compare_failed", "the key is not what the condition says")
	if ok {
		out.etag = etag(e.Rev)
		out.body.(map[string]any)["current"] = e
	}
	return out
}

// put sets key at the current revision.
func (f *fake) put(key, value string, ttl int64) fakeOut {
	old, ok := f.mu.entries[key]
	e := fakeEntry{Key: key, Rev: f.mu.rev, CreateRev: f.mu.rev, Version: old.Version + 1, TTL: ttl, bytes: value}
	if ok {
		e.CreateRev = old.CreateRev
	}
	e.Value = value
	if !utf8.ValidString(value) {
		e.Value, e.Encoding = base64.StdEncoding.EncodeToString([]byte(value)), "base64"
	}
	f.mu.entries[key] = e
	f.emit(key, e.event())
	status := 200
	if !ok {
		status = 201
	}
	return fakeOut{status, etag(e.Rev), map[string]any{"rev": e.Rev, "version": e.Version, "created": !ok}}
}

func (e fakeEntry) event() string {
	b, _ := json.Marshal(e)
	return `{"type":"put",` + string(b[1:])
}

func (f *fake) remove(key string) {
	e := f.mu.entries[key]
	delete(f.mu.entries, key)
	f.emit(key, fmt.Sprintf(`{"type":"delete","key":%q,"rev":%d,"version":%d,"cause":"deleted"}`, key, f.mu.rev, e.Version+1))
}

func (f *fake) emit(key, data string) {
	f.mu.events = append(f.mu.events, fakeEvent{f.mu.rev, key, data})
	close(f.mu.changed)
	f.mu.changed = make(chan struct{})
}

// cas serves POST /v1/cas/{key}.
func (f *fake) cas(r *http.Request, body string) fakeOut {
	var s struct {
		Expected, New *string
		Encoding, TTL string
	}
	if json.Unmarshal([]byte(body), &s) != nil || !utf8.ValidString(body) {
		return refused(400, "bad_json", "the body is not JSON")
	}
	key := r.PathValue("key")
	e, ok := f.mu.entries[key]
	want := fakeValue(s.Expected, s.Encoding)
	if (want != nil) != ok || ok && *want != e.bytes {
		return f.compareFailed(e, ok)
	}
	f.mu.rev++
	if s.New == nil {
		f.remove(key)
		return fakeOut{status: 200, body: map[string]any{"rev": f.mu.rev, "deleted": true}}
	}
	ttl, _ := ttlMillis(s.TTL)
	out := f.put(key, *fakeValue(s.New, s.Encoding), ttl)
	return out
}

func fakeValue(text *string, encoding string) *string {
	if text == nil || encoding == "" {
		return text
	}
	b, _ := base64.StdEncoding.DecodeString(*text)
	s := string(b)
	return &s
}

func (f *fake) status(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Keywatch-Position", fakeEpoch+"-1")
	io.WriteString(w, `{"version":"v9","position":"`+fakeEpoch+`-1","keys":{"count":12345678901,"bytes":1536},"nodes":["a","b"],"leader":null}`)
}

func (f *fake) backup(w http.ResponseWriter, _ *http.Request) {
	data := strings.Repeat("backup ", 100_000)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Keywatch-Backup-Size", strconv.Itoa(len(data)))
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	if f.failing("503") {
		w.Header().Del("Content-Length")
		reply(w, nil, refused(503, "starting", "not yet"))
		return
	}
	if f.failing("cut-backup") {
		io.WriteString(w, data[:len(data)/2])
		panic(http.ErrAbortHandler)
	}
	io.WriteString(w, data)
}
