package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"keywatch/app"
	"keywatch/persist/object"
	"keywatch/test/gate"
)

const (
	accessKey = "AKIATESTOFTIERS"
	secretKey = "s3cr3t-that-nobody-may-see"
)

// A patient is a server over HTTP whose bucket is made ill.
type patient struct {
	t       *testing.T
	url     string
	log     *bytes.Buffer // read once the server has ended
	said    strings.Builder
	backend *s3mem.Backend
	ill     atomic.Pointer[http.HandlerFunc] // answers in place of the bucket
	held    atomic.Int64                     // requests that hang
}

// newPatient makes the bucket.
func newPatient(t *testing.T) *patient {
	t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
	p := &patient{t: t, log: new(bytes.Buffer), backend: s3mem.New()}
	if err := p.backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	return p
}

// bucket serves the bucket and returns its URL.
func (p *patient) bucket() string {
	s3 := gofakes3.New(p.backend).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := p.ill.Load(); f != nil {
			(*f)(w, r)
			return
		}
		s3.ServeHTTP(w, r)
	}))
	p.t.Cleanup(server.Close)
	return "s3://bucket/p?endpoint=" + url.QueryEscape(server.URL)
}

// serve starts the server; stop ends it and waits.
func (p *patient) serve(c app.Config) (stop func()) {
	p.t.Helper()
	c.Logger = slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, cancel := context.WithCancel(p.t.Context())
	started, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		ended <- app.Serve(ctx, app.ServeConfig{Config: c, Listen: "127.0.0.1:0"}, func(a net.Addr) { started <- a })
	}()
	select {
	case a := <-started:
		p.url = "http://" + a.String()
	case err := <-ended:
		p.t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			p.t.Error(err)
		}
	})
}

// An outcome is what the client got.
type outcome struct {
	status int
	header http.Header
	body   string
}

func (p *patient) do(method, path, body string) (o outcome) {
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Errorf("%s %s: %v", method, path, err)
		return o
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		p.t.Errorf("%s %s: %v", method, path, err)
	}
	return outcome{a.StatusCode, a.Header, string(b)}
}

// want does it and expects a status and a text in the answer.
func (p *patient) want(status int, text, method, path, body string) outcome {
	p.t.Helper()
	o := p.do(method, path, body)
	p.said.WriteString(o.body)
	if o.status != status || !strings.Contains(o.body, text) {
		p.t.Errorf("%s %s: got %d %.300s, want %d and %q", method, path, o.status, o.body, status, text)
	}
	return o
}

// objects returns what the status says of object storage.
func (p *patient) objects() (o app.ObjectStatus) {
	p.t.Helper()
	var s struct{ Detail app.Status }
	a := p.want(200, "", "GET", "/v1/status", "")
	if err := json.Unmarshal([]byte(a.body), &s); err != nil || s.Detail.Objects == nil {
		p.t.Fatalf("status: %v: %s", err, a.body)
	}
	return *s.Detail.Objects
}

// metric returns a line of /metrics.
func (p *patient) metric(name string) string {
	for line := range strings.Lines(p.want(200, "", "GET", "/metrics", "").body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return "absent"
}

// makeIll has every request to the bucket answered by f; nil heals it.
func (p *patient) makeIll(f http.HandlerFunc) {
	if f == nil {
		p.ill.Store(nil)
		return
	}
	p.ill.Store(&f)
}

// hot works with keys in memory, which must go on as if nothing were wrong.
func (p *patient) hot(n int) {
	p.t.Helper()
	for i := range n {
		key := fmt.Sprintf("/v1/kv/hot/%d", i%10)
		value := bulky("hot", uint64(i))
		if o := p.do("PUT", key, value); o.status != 200 && o.status != 201 {
			p.t.Errorf("PUT %s: %d %s", key, o.status, o.body)
		}
		if o := p.want(200, value, "GET", key, ""); o.header.Get("Keywatch-Tier") != "memory" {
			p.t.Errorf("%s is read from %s", key, o.header.Get("Keywatch-Tier"))
		}
	}
	p.want(200, `"key":"cold/00"`, "GET", "/v1/kv?keys=1&prefix=cold/", "")
}

func cold(i int) string { return fmt.Sprintf("/v1/kv/cold/%02d", i) }

// sick starts a server with forty values in the bucket and none of them in memory,
// which waits for the bucket as long as patience.
func sick(t *testing.T, patience time.Duration) *patient {
	p := newPatient(t)
	c := app.Config{Data: t.TempDir(), ObjectStore: p.bucket(), SegmentSize: 16 << 10}.ObjectsHard(time.Hour).ObjectRead(patience)
	stop := p.serve(c)
	for i := range 40 {
		p.want(201, "", "PUT", cold(i), bulky("cold", uint64(i)))
	}
	p.want(200, "", "POST", "/v1/admin/migrate", "")
	stop()
	stop = p.serve(c)
	t.Cleanup(func() {
		p.makeIll(nil)
		stop()
		for what, text := range map[string]string{"log": p.log.String(), "answers": p.said.String()} {
			if strings.Contains(text, secretKey) || strings.Contains(text, accessKey) || strings.Contains(text, "Signature=") {
				t.Errorf("the %s show credentials", what)
			}
		}
		if !strings.Contains(p.log.String(), "stopping") {
			t.Error("nothing was logged: the test proves nothing")
		}
	})
	return p
}

// While the object store is down, full, or answers garbage, what is hot must go on,
// what is cold must be refused with a time to try again, nothing may leave the disk,
// and status and metrics must say what waits.
func TestObjectStoreInTrouble(t *testing.T) { objectStoreInTrouble(t, time.Minute, false) }

// The same with a store that is silent: what needs it takes as long as it is waited
// for.
func TestProofObjectStoreInTrouble(t *testing.T) {
	gate.Long(t)
	objectStoreInTrouble(t, 4*time.Second, true)
}

func objectStoreInTrouble(t *testing.T, patience time.Duration, silent bool) {
	p := sick(t, patience)
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(code)
			io.WriteString(w, body)
		}
	}
	for i, c := range []struct {
		name string
		ill  http.HandlerFunc
	}{
		{"down", status(503, "<Error><Code>SlowDown</Code></Error>")},
		{"full", status(507, "<Error><Code>QuotaExceeded</Code></Error>")},
		{"denied", status(403, "<Error><Code>AccessDenied</Code></Error>")},
		{"garbage", status(200, "<html>it works!</html>")},
		{"silent", func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}},
		{"gone away", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		if c.name == "silent" && !silent {
			continue
		}
		p.makeIll(c.ill)
		if o := p.want(503, `"code":"tier_unavailable"`, "GET", cold(i), ""); o.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", c.name)
		}
		p.hot(20)
		p.want(412, `"code":"compare_failed"`, "POST", "/v1/cas/cold/20", `{"expected":"x","new":"y"}`)
		p.want(200, `"version":2`, "POST", fmt.Sprintf("/v1/cas/cold/%02d", 10+i), fmt.Sprintf(`{"expected":%q,"new":"y"}`, bulky("cold", uint64(10+i))))
		p.want(204, "", "DELETE", cold(22+i), "")
		errorsBefore := p.objects().Errors
		p.want(503, `"code":"tier_unavailable"`, "POST", "/v1/admin/migrate", "")
		if o := p.objects(); o.Waiting == "" || o.Errors == errorsBefore || o.WaitingValues != 10 || o.WaitingBytes < 20000 {
			t.Errorf("%s: the status says %+v", c.name, o)
		}
		if w, v := p.metric("keywatch_object_waiting"), p.metric("keywatch_object_waiting_values"); w != "1" || v != "10" {
			t.Errorf("%s: the metrics say waiting %s, %s values", c.name, w, v)
		}
		p.hot(10)
		p.makeIll(nil)
		if o := p.want(200, bulky("cold", uint64(i)), "GET", cold(i), ""); o.header.Get("Keywatch-Tier") != "object" {
			t.Errorf("%s: read from %s", c.name, o.header.Get("Keywatch-Tier"))
		}
	}
	p.want(200, "", "POST", "/v1/admin/migrate", "")
	if o := p.objects(); o.Waiting != "" || o.WaitingValues != 0 || o.Missing != 0 || p.metric("keywatch_object_waiting") != "0" {
		t.Errorf("when all is well again: %+v", o)
	}
	if s, k := p.metric("keywatch_object_live_share"), p.metric(`keywatch_tier_keys{tier="object"}`); s == "absent" || s == "0" || k == "0" {
		t.Errorf("live share %s, %s keys", s, k)
	}
}

// If reads that wait for a store that never answers held up those that need none, one
// slow bucket would be an outage.
func TestObjectStoreThatIsSlow(t *testing.T) {
	p := sick(t, time.Hour)
	release := make(chan struct{})
	heal := sync.OnceFunc(func() { close(release) })
	defer heal()
	p.makeIll(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, object.Suffix) { // the start asks for the mark too
			p.held.Add(1)
		}
		<-release
		w.WriteHeader(500) // it will be asked again
	})
	var waiting sync.WaitGroup
	var answered atomic.Int64
	for i := range 40 {
		waiting.Go(func() {
			o := p.do("GET", cold(i), "")
			for o.status == 503 { // it had waited for as long as a request may
				o = p.do("GET", cold(i), "")
			}
			if o.status != 200 || o.body != bulky("cold", uint64(i)) {
				t.Errorf("%s: %d %.80q", cold(i), o.status, o.body)
			}
			answered.Add(1)
		})
	}
	gate.Until(t, func() bool { return p.held.Load() >= 40 }, "not all reads have reached the bucket")
	p.hot(100)
	if n := answered.Load(); n != 0 {
		t.Errorf("%d cold reads were answered: the test proves nothing", n)
	}
	p.makeIll(nil)
	heal()
	waiting.Wait()
}

// A value that is lost or spoilt must be named, and must not pass for an outage; what
// else there is must be served.
func TestObjectLostOrSpoilt(t *testing.T) {
	p := sick(t, time.Minute)
	s3 := gofakes3.New(p.backend).Server()
	p.makeIll(func(w http.ResponseWriter, r *http.Request) { // a bit of each answer is turned
		rec := httptest.NewRecorder()
		s3.ServeHTTP(rec, r)
		b := rec.Body.Bytes()
		if len(b) > 0 {
			b[len(b)/2] ^= 16
		}
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		w.Write(b)
	})
	o := p.want(500, `"code":"data_damaged"`, "GET", cold(0), "")
	if !strings.Contains(o.body, object.Suffix) {
		t.Errorf("the segment is not named: %s", o.body)
	}
	p.hot(10)
	p.makeIll(nil)
	p.want(200, bulky("cold", 0), "GET", cold(0), "")
	list, err := p.backend.ListBucket("bucket", &gofakes3.Prefix{}, gofakes3.ListBucketPage{})
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	for _, object := range list.Contents {
		if strings.HasSuffix(object.Key, ".seg") && lost < 1 {
			lost++
			if _, err := p.backend.DeleteObject("bucket", object.Key); err != nil {
				t.Fatal(err)
			}
		}
	}
	var damaged, served int
	for i := range 40 {
		switch o := p.do("GET", cold(i), ""); {
		case o.status == 200:
			served++
		case o.status == 500 && strings.Contains(o.body, `"code":"data_damaged"`) && strings.Contains(o.body, object.Suffix):
			damaged++
		default:
			t.Errorf("%s: %d %s", cold(i), o.status, o.body)
		}
	}
	if damaged == 0 || served < 20 {
		t.Errorf("%d values are lost and %d are served: one of many segments was deleted", damaged, served)
	}
	p.hot(10)
	p.want(200, "", "POST", "/v1/admin/migrate", "") // the rest can be moved all the same
	if o := p.objects(); o.Missing != 1 || p.metric("keywatch_object_segments_missing") != "1" {
		t.Errorf("%+v", o)
	}
}

// If a bad --object-store were noticed only when the first value is moved, or began a
// store that is not there, or if the message showed a password, it would be a trap.
func TestBadObjectStoreIsRefusedAtStart(t *testing.T) {
	for _, bad := range []string{"s3://", "s3://no_/x", "ftp://x", "/tmp/x", "s3://bucket?zone=x", "s3://bucket?endpoint=http://u:" + secretKey + "@h", "dir://relative"} {
		data := filepath.Join(t.TempDir(), "data")
		err := app.Serve(t.Context(), app.ServeConfig{Config: app.Config{Data: data, ObjectStore: bad}, Listen: "127.0.0.1:0"}, func(net.Addr) { t.Errorf("%q: it started", bad) })
		if !errors.Is(err, object.ErrBadURL) || !strings.HasPrefix(err.Error(), "object-store: ") || strings.Contains(err.Error(), secretKey) {
			t.Errorf("%q: %v", bad, err)
		}
		if _, err := os.Stat(data); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: a store was begun: %v", bad, err)
		}
	}
}
