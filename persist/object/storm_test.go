package object_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keywatch/persist/object"
	"keywatch/persist/object/objecttest"
	"keywatch/test/gate"
)

// A storm is what stands before an S3 server and does something bad to every few
// requests: it is safe for concurrent use.
type storm struct {
	mu   sync.Mutex
	r    *rand.Rand
	calm bool
	hits map[string]int
}

// mishaps are what a storm does. A list is not garbled: it has no checksum, and what
// it says wrongly is judged elsewhere.
var mishaps = map[string]mishap{
	"500":           status(500, "InternalError"),
	"503":           status(503, "SlowDown"),
	"full":          status(507, "QuotaExceeded"),
	"garbage":       status(200, "x"),
	"lost answer":   lost,
	"slow":          slow,
	"never answers": hang,
	"cut":           onSegments("GET", cut),
	"flipped":       onSegments("GET", flipped),
	"stores half":   onSegments("PUT", half),
	"flips on way":  onSegments("PUT", spoil),
}

var mishapNames = []string{
	"500", "503", "full", "garbage", "lost answer", "slow", "never answers", "cut", "cut", "flipped", "flipped",
	"stores half", "flips on way",
}

// onSegments is m for one method's requests on segments, and nothing else.
func onSegments(method string, m mishap) mishap {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		return r.Method == method && strings.HasSuffix(r.URL.Path, object.Suffix) && m(w, r, next)
	}
}

// slow keeps the answer back for a while, but not for ever.
func slow(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
	select {
	case <-r.Context().Done():
	case <-time.After(20 * time.Millisecond):
	}
	return false
}

// half hears only half of the body and says that all is well.
func half(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
	_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
	w.Header().Set("ETag", `"d41d8cd98f00b204e9800998ecf8427e"`)
	w.WriteHeader(200)
	return true
}

// spoil turns a bit of what is to be stored.
func spoil(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
	b, err := io.ReadAll(r.Body)
	if err != nil || len(b) == 0 {
		return false
	}
	b[len(b)/2] ^= 1
	r.Body = io.NopCloser(bytes.NewReader(b))
	return false
}

// pick chooses what happens to a request; "" for nothing.
func (s *storm) pick() (name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calm || s.r.IntN(8) != 0 {
		return ""
	}
	return mishapNames[s.r.IntN(len(mishapNames))]
}

// wrap puts the storm before a server.
func (s *storm) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := s.pick()
		if name != "" {
			s.mu.Lock()
			s.hits[name]++
			s.mu.Unlock()
			if mishaps[name](w, r, next) {
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// hasty gives up early, so that a server that hangs does not hold the test up.
var hasty = object.Options{Timeout: 100 * time.Millisecond, PutTimeout: 200 * time.Millisecond, Attempts: 2, Backoff: time.Millisecond}

// weather runs random operations, with kills at every step, on the server at rawURL,
// which s stands before, and then sees in calm whether anything was lost.
func (s *storm) weather(t *testing.T, seed uint64, rawURL string) map[object.Step]int {
	t.Helper()
	w := newWorld(t, seed, open(t, rawURL, hasty))
	for range 300 {
		w.step()
	}
	s.mu.Lock()
	s.calm = true
	s.mu.Unlock()
	w.store.Store = open(t, rawURL, object.Options{})
	w.settle()
	return w.killed
}

// enough reports whether every mishap happened and kills fell at every step.
func enough(hits map[string]int, killed map[object.Step]int) bool {
	for name := range mishaps {
		if hits[name] == 0 {
			return false
		}
	}
	for _, step := range steps {
		if killed[step] == 0 {
			return false
		}
	}
	return true
}

// storms runs some seeds, and if they are many further ones until enough has
// happened. serve starts a server behind a storm and returns its URL.
func storms(t *testing.T, first, seeds uint64, serve func(*storm) string) {
	killed, hits := make(map[object.Step]int), make(map[string]int)
	many := seeds > 1
	for n := uint64(0); n < seeds || many && n < 10*seeds && !enough(hits, killed); n++ {
		t.Logf("seed %d", first+n)
		s := &storm{r: rand.New(rand.NewPCG(first+n, 9)), hits: make(map[string]int)}
		for step, n := range s.weather(t, first+n, serve(s)) {
			killed[step] += n
		}
		for name, n := range s.hits {
			hits[name] += n
		}
	}
	t.Logf("killed %v; mishaps %v", killed, hits)
	if many && !enough(hits, killed) {
		t.Errorf("something never happened: the test proves little")
	}
}

// If a bucket that is slow, down, full, cut off or spoils bytes, together with kills
// between any two steps, could lose a value or bring an old one back, no bucket could
// be trusted.
func TestMoverInAStormOverS3(t *testing.T) {
	storms(t, 100, 1, func(s *storm) string { return fake(t, s.wrap) })
}

func TestProofMoverInAStormOverS3(t *testing.T) {
	gate.Long(t)
	storms(t, 100, 3, func(s *storm) string { return fake(t, s.wrap) })
}

// The same with a real S3 server, whose errors and conditional writes are its own.
func TestProofMoverInAStormOverGateway(t *testing.T) {
	gate.Long(t)
	setCredentials(t)
	root, addr := objecttest.Gateway(t)
	buckets := 0
	storms(t, 200, 3, func(s *storm) string {
		buckets++
		bucket := fmt.Sprintf("bucket-%d", buckets)
		must(t, os.Mkdir(filepath.Join(root, bucket), 0o755))
		server := httptest.NewServer(s.wrap(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", addr, r.In.Host // signatures cover the Host
		}, ErrorLog: log.New(io.Discard, "", 0)}))
		t.Cleanup(server.Close)
		return "s3://" + bucket + "/p?endpoint=" + url.QueryEscape(server.URL)
	})
}
