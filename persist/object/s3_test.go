package object_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"keywatch/persist/object"
	"keywatch/persist/object/objecttest"
)

const testSecret = objecttest.GatewaySecret

func containsSecret(s string) bool {
	return strings.Contains(s, "secret") || strings.Contains(s, testSecret)
}

// quick lets a test that makes every attempt fail end soon.
var quick = object.Options{Timeout: time.Minute, PutTimeout: time.Minute, Attempts: 3, Backoff: time.Millisecond}

func setCredentials(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", objecttest.GatewayKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", testSecret)
}

// fake starts an S3 server in this process; wrap stands before it.
func fake(t *testing.T, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	setCredentials(t)
	backend := s3mem.New()
	must(t, backend.CreateBucket("bucket"))
	server := httptest.NewServer(wrap(gofakes3.New(backend).Server()))
	t.Cleanup(server.Close)
	return "s3://bucket/some/prefix?region=here&endpoint=" + url.QueryEscape(server.URL)
}

func open(t *testing.T, rawURL string, o object.Options) object.Store {
	t.Helper()
	s, err := object.Open(rawURL, o)
	must(t, err)
	return s
}

func plain(h http.Handler) http.Handler { return h }

// If the S3 client did not behave like a folder, what is proved with folders
// would say nothing about buckets.
func TestS3Fake(t *testing.T) {
	runSuite(t, func(t *testing.T) object.Store { return open(t, fake(t, plain), object.Options{}) })
}

// A mishap is what a server in trouble does to one request. It returns false if
// the request shall be served as usual.
type mishap func(w http.ResponseWriter, r *http.Request, next http.Handler) bool

func status(code int, s3Code string) mishap {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		w.WriteHeader(code)
		w.Write([]byte("<Error><Code>" + s3Code + "</Code><Message>injected</Message></Error>"))
		return true
	}
}

// lost serves the request and drops the connection instead of answering.
func lost(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
	next.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// cut answers with the right length and half of the bytes.
func cut(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	copyHead(w, rec)
	w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
	panic(http.ErrAbortHandler)
}

// flipped turns one bit of the answer.
func flipped(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	copyHead(w, rec)
	b := bytes.Clone(rec.Body.Bytes())
	if len(b) > 0 {
		b[len(b)/2] ^= 8
	}
	w.Write(b)
	return true
}

// whole answers as if it had never heard of Range.
func whole(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
	r.Header.Del("Range")
	return false
}

func hang(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
	io.Copy(io.Discard, r.Body) // only then does the server notice that the client goes
	<-r.Context().Done()
	return true
}

func copyHead(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Length", strconv.Itoa(rec.Body.Len()))
	w.WriteHeader(rec.Code)
}

// troubled is a server that does m to the first requests of a method on a
// segment.
type troubled struct {
	method string
	first  int32
	do     mishap
	seen   atomic.Int32
}

func (f *troubled) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == f.method && strings.HasSuffix(r.URL.Path, object.Suffix) && f.seen.Add(1) <= f.first && f.do(w, r, next) {
			return
		}
		next.ServeHTTP(w, r)
	})
}

// If passing trouble of a server failed a request for good, or a lost answer
// counted as another writer, migration would stop for nothing.
func TestS3PassingTrouble(t *testing.T) {
	b, records := build(t, segmentID, items(20))
	for name, f := range map[string]*troubled{
		"put 500":      {method: "PUT", first: 2, do: status(500, "InternalError")},
		"put slowdown": {method: "PUT", first: 2, do: status(503, "SlowDown")},
		"put conflict": {method: "PUT", first: 2, do: status(409, "ConditionalRequestConflict")},
		"put lost":     {method: "PUT", first: 1, do: lost},
		"put hang":     {method: "PUT", first: 1, do: hang},
		"get 502":      {method: "GET", first: 2, do: status(502, "")},
		"get lost":     {method: "GET", first: 2, do: lost},
		"get cut":      {method: "GET", first: 2, do: cut},
		"get hang":     {method: "GET", first: 1, do: hang},
	} {
		t.Run(name, func(t *testing.T) {
			o := quick
			if strings.HasSuffix(name, "hang") {
				o.Timeout, o.PutTimeout = time.Second, time.Second
			}
			s := open(t, fake(t, f.wrap), o)
			must(t, object.Upload(t.Context(), s, segmentID, b))
			it := items(20)[3]
			v, err := object.ReadValue(t.Context(), s, segmentID, records[3].Offset, it.key, it.at, len(it.value))
			if err != nil || v != it.value {
				t.Fatalf("%q, %v", v, err)
			}
			if f.seen.Load() <= f.first {
				t.Fatalf("only %d requests: nothing was tried again", f.seen.Load())
			}
		})
	}
}

// If lasting trouble looked like a loss, or a loss like trouble, the answer to a
// client and to the operator would be wrong; if it were tried for ever, reads
// would hang.
func TestS3LastingTrouble(t *testing.T) {
	all := items(20)
	b, records := build(t, segmentID, all)
	for name, c := range map[string]struct {
		do    mishap
		want  error
		tries int32
	}{
		"500":     {status(500, "InternalError"), object.ErrUnavailable, 3},
		"full":    {status(507, "QuotaExceeded"), object.ErrUnavailable, 3},
		"denied":  {status(403, "AccessDenied"), object.ErrUnavailable, 1},
		"gone":    {status(404, "NoSuchKey"), object.ErrNotFound, 1},
		"bucket":  {status(404, "NoSuchBucket"), object.ErrUnavailable, 1},
		"garbage": {status(200, "x"), object.ErrUnavailable, 3},
		"lost":    {lost, object.ErrUnavailable, 3},
		"cut":     {cut, object.ErrUnavailable, 3},
		"flipped": {flipped, object.ErrDamaged, 2},
		"whole":   {whole, object.ErrUnavailable, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := &troubled{method: "GET", do: c.do}
			s := open(t, fake(t, f.wrap), quick)
			must(t, object.Upload(t.Context(), s, segmentID, b))
			f.seen.Store(0)
			f.first = 1000
			it := all[7]
			_, err := object.ReadValue(t.Context(), s, segmentID, records[7].Offset, it.key, it.at, len(it.value))
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err == nil || !strings.Contains(err.Error(), segmentID.Name()) || containsSecret(err.Error()) {
				t.Errorf("the error must name the segment and no secret: %v", err)
			}
			// net/http itself asks once more where a connection it reused was dropped.
			if n := f.seen.Load(); n < c.tries || n > 2*c.tries {
				t.Errorf("%d tries, want %d", n, c.tries)
			}
		})
	}
}

// If an upload that failed, or that the store kept badly, passed for done, the
// only good copy would be dropped from disk.
func TestUploadNeverLies(t *testing.T) {
	b, _ := build(t, segmentID, items(20))
	half := func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		w.Header().Set("ETag", `"d41d8cd98f00b204e9800998ecf8427e"`)
		w.WriteHeader(200) // it says yes and keeps nothing
		return true
	}
	for name, c := range map[string]struct {
		f    *troubled
		want error
	}{
		"put 500":      {&troubled{method: "PUT", first: 9, do: status(500, "InternalError")}, object.ErrUnavailable},
		"put denied":   {&troubled{method: "PUT", first: 9, do: status(403, "AccessDenied")}, object.ErrUnavailable},
		"put swallow":  {&troubled{method: "PUT", first: 9, do: half}, object.ErrNotFound},
		"read flipped": {&troubled{method: "GET", first: 9, do: flipped}, object.ErrDamaged},
		"read down":    {&troubled{method: "GET", first: 9, do: status(503, "SlowDown")}, object.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, fake(t, c.f.wrap), quick)
			if err := object.Upload(t.Context(), s, segmentID, b); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// If a server that overwrites, or keeps other bytes than it was given, passed the
// probe, it would be trusted with values.
func TestProbeFindsUnfitStores(t *testing.T) {
	for name, do := range map[string]func(*http.Request) *http.Request{
		"overwrites": func(r *http.Request) *http.Request { r.Header.Del("If-None-Match"); return r },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, fake(t, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, do(r)) })
			}), quick)
			if err := object.Probe(t.Context(), s, "x/"); !errors.Is(err, object.ErrUnfit) {
				t.Errorf("got %v", err)
			}
		})
	}
	garbled := open(t, fake(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "GET" || !flipped(w, r, next) {
				next.ServeHTTP(w, r)
			}
		})
	}), quick)
	if err := object.Probe(t.Context(), garbled, "x/"); !errors.Is(err, object.ErrUnfit) {
		t.Errorf("a store that garbles: %v", err)
	}
}

// If no server listens, the caller must learn so before its deadline.
func TestS3Down(t *testing.T) {
	setCredentials(t)
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	s := open(t, "s3://bucket?endpoint="+url.QueryEscape(server.URL), quick)
	if err := s.Put(t.Context(), "a", []byte("b")); !errors.Is(err, object.ErrUnavailable) {
		t.Errorf("put: %v", err)
	}
	if _, err := s.GetRange(t.Context(), "a", 0, 1); !errors.Is(err, object.ErrUnavailable) {
		t.Errorf("get: %v", err)
	}
	for _, err := range s.List(t.Context(), "") {
		if !errors.Is(err, object.ErrUnavailable) {
			t.Errorf("list: %v", err)
		}
	}
}

// If credentials files were not read, only those who export secrets could use a
// bucket.
func TestS3CredentialsFile(t *testing.T) {
	rawURL := fake(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.Header.Get("Authorization"), "Credential=from-the-file/") {
				w.WriteHeader(403)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	file := filepath.Join(t.TempDir(), "credentials")
	must(t, os.WriteFile(file, []byte("[default]\naws_access_key_id=from-the-file\naws_secret_access_key=x\n"), 0o600))
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	must(t, open(t, rawURL, quick).Put(t.Context(), "a", []byte("b")))
}
