package jwt_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/prometheus/client_golang/prometheus"

	"keywatch/auth"
	"keywatch/auth/jwt"
	"keywatch/kv"
)

// If this failed, a key that was removed would go on to sign, or a broken file would end all tokens.
func TestFileIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newSigning(t, jose.EdDSA, "a"), newSigning(t, jose.EdDSA, "b")
		path := filepath.Join(t.TempDir(), "keys.json")
		writeFile(t, path, setOf(t, a))
		var told [][]string
		k := jwt.New(jwt.Options{Source: path, Issuer: issuer, Audience: audience, Changed: func(ids []string) { told = append(told, ids) }})
		if err := k.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go k.Run(ctx)
		expect := func(when string, s signing, want string) {
			t.Helper()
			time.Sleep(jwt.FileEvery)
			synctest.Wait()
			if _, err := k.Verify(s.token(t, nil), ""); reason(t, err) != want {
				t.Errorf("%s: got %v, want %q", when, err, want)
			}
		}
		expect("as at the start", a, "")
		expect("before it is there", b, auth.Unknown)
		writeFile(t, path, setOf(t, a, b))
		expect("once it is there", b, "")
		writeFile(t, path, setOf(t, b))
		expect("once it is removed", a, auth.Unknown)
		writeFile(t, path, []byte("broken"))
		expect("while the file is broken", b, "")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect("while there is no file", b, "")
		writeFile(t, path, setOf(t, a))
		expect("once the file is there again", a, "")
		writeFile(t, path, []byte(`{"keys":[]}`))
		expect("once no key is valid", a, auth.Unknown)
		writeFile(t, path, []byte(`{"keys":[{"kty":"AKP"}]}`))
		expect("while no key can be used", a, auth.Unknown)
		if len(told) != 5 || len(told[4]) != 0 || len(told[1]) != 2 || told[1][0] != told[0][0] || told[2][0] != told[1][1] || told[3][0] != told[0][0] {
			t.Errorf("was told of %v", told)
		}
		cancel()
		synctest.Wait()
	})
}

// transport answers requests without a network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// If this failed, a server that starts while its issuer does not answer would accept no token for five minutes.
func TestURLThatHangsAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigning(t, jose.EdDSA, "a")
		var asked atomic.Int64
		k := jwt.New(jwt.Options{Source: "https://idp.example/keys", Issuer: issuer, Audience: audience})
		k.SetTransport(transport(func(r *http.Request) (*http.Response, error) {
			if asked.Add(1) == 1 {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(string(setOf(t, s))))}, nil
		}))
		limited, done := context.WithTimeout(t.Context(), 5*time.Second)
		defer done()
		if err := k.Load(limited); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want %v", err, context.DeadlineExceeded)
		}
		if _, err := k.Verify(s.token(t, nil), ""); !errors.Is(err, kv.ErrStarting) {
			t.Errorf("before there are keys: got %v, want %v", err, kv.ErrStarting)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go k.Run(ctx)
		time.Sleep(jwt.UrlSoon)
		synctest.Wait()
		if _, err := k.Verify(s.token(t, nil), ""); err != nil {
			t.Errorf("10 s later: %v; the URL was asked %d times", err, asked.Load())
		}
		cancel()
		synctest.Wait()
	})
}

// If this failed, the metrics of a server would stop whenever the issuer does not answer.
func TestMetricsDoNotWaitForKeys(t *testing.T) {
	k := jwt.New(jwt.Options{Source: "https://idp.example/keys", Issuer: issuer, Audience: audience})
	collected := make(chan struct{})
	k.SetTransport(transport(func(r *http.Request) (*http.Response, error) {
		go func() {
			k.Collect(make(chan prometheus.Metric, 20))
			close(collected)
		}()
		select {
		case <-collected:
		case <-r.Context().Done():
			t.Error("metrics wait until the keys are read")
		}
		return nil, errors.New("unreachable")
	}))
	if err := k.Load(t.Context()); err == nil {
		t.Error("keys were read")
	}
	<-collected
}

// If this failed, a token with an unknown kid would have the URL asked as often as it is sent, or keys that
// rotate would be known only minutes later.
func TestURLIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newSigning(t, jose.EdDSA, "a"), newSigning(t, jose.EdDSA, "b")
		var asked atomic.Int64
		var failing atomic.Bool
		var set atomic.Value
		set.Store(setOf(t, a))
		k := jwt.New(jwt.Options{Source: "https://idp.example/keys", Issuer: issuer, Audience: audience})
		k.SetTransport(transport(func(*http.Request) (*http.Response, error) {
			asked.Add(1)
			if failing.Load() {
				return nil, errors.New("unreachable")
			}
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(string(set.Load().([]byte))))}, nil
		}))
		if err := k.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go k.Run(ctx)
		wait := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		wait(jwt.UrlEvery - time.Second)
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times before the period, want 1", n)
		}
		wait(time.Second)
		if n := asked.Load(); n != 2 {
			t.Errorf("asked %d times after the period, want 2", n)
		}
		set.Store(setOf(t, a, b))
		for range 1000 {
			if _, err := k.Verify(b.token(t, nil), ""); reason(t, err) != auth.Unknown {
				t.Fatal(err)
			}
			wait(jwt.UrlSoon / 1000)
		}
		if n := asked.Load(); n != 3 {
			t.Errorf("asked %d times after a thousand tokens with an unknown kid, want 3", n)
		}
		if _, err := k.Verify(b.token(t, nil), ""); err != nil {
			t.Errorf("after it was asked: %v", err)
		}
		failing.Store(true)
		wait(jwt.UrlEvery)
		if n := asked.Load(); n < 4 {
			t.Errorf("asked %d times, want more", n)
		}
		if _, err := k.Verify(b.token(t, nil), ""); err != nil {
			t.Errorf("while the URL fails: %v", err)
		}
		failing.Store(false)
		n := asked.Load()
		wait(jwt.UrlSoon)
		if asked.Load() != n+1 {
			t.Errorf("asked %d times within 10 s of a failure, want once", asked.Load()-n)
		}
		cancel()
		synctest.Wait()
	})
}

// If this failed, a server that cannot learn which keys were removed would accept them for ever.
func TestKeysAge(t *testing.T) {
	s := newSigning(t, jose.EdDSA, "a")
	path := filepath.Join(t.TempDir(), "keys.json")
	writeFile(t, path, setOf(t, s))
	now := time.Now()
	var told []string
	k := jwt.New(jwt.Options{Source: path, Issuer: issuer, Audience: audience, Now: func() time.Time { return now }, Changed: func(ids []string) { told = ids }})
	if err := k.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	token := s.token(t, map[string]any{"exp": now.Add(100 * time.Hour).Unix()})
	writeFile(t, path, nil)
	now = now.Add(jwt.AgedAfter - time.Second)
	if err := k.Load(t.Context()); err == nil {
		t.Fatal("an empty file was read")
	}
	if _, err := k.Verify(token, ""); err != nil {
		t.Errorf("within a day: %v", err)
	}
	now = now.Add(2 * time.Second)
	if err := k.Load(t.Context()); err == nil {
		t.Fatal("an empty file was read")
	}
	if _, err := k.Verify(token, ""); !errors.Is(err, kv.ErrStarting) || len(told) != 0 {
		t.Errorf("after a day: got %v, told of %v", err, told)
	}
	writeFile(t, path, setOf(t, s))
	if err := k.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Verify(token, ""); err != nil || len(told) != 1 {
		t.Errorf("once it can be read: got %v, told of %v", err, told)
	}
}

// If this failed, keys would come from elsewhere than the operator has said, or take any memory.
func TestURL(t *testing.T) {
	s := newSigning(t, jose.EdDSA, "a")
	var elsewhere atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(setOf(t, s)) })
	mux.HandleFunc("/other", func(w http.ResponseWriter, _ *http.Request) { elsewhere.Add(1); _, _ = w.Write(setOf(t, s)) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(setOf(t, s))
		_, _ = w.Write([]byte(strings.Repeat(" ", 2*jwt.SetMax)))
	})
	mux.HandleFunc("/secret", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(setOf(t, s, newSigning(t, jose.HS256, "hs")))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	for path, fails := range map[string]string{
		"/keys": "", "/moved": "302", "/large": "more than", "/secret": "from a file only", "/none": "404",
	} {
		k := jwt.New(jwt.Options{Source: server.URL + path, Issuer: issuer, Audience: audience})
		err := k.Load(t.Context())
		if fails == "" && err != nil || fails != "" && (err == nil || !strings.Contains(err.Error(), fails)) {
			t.Errorf("%s: got %v, want %q", path, err, fails)
		}
	}
	if elsewhere.Load() != 0 {
		t.Error("a redirect was followed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := jwt.New(jwt.Options{Source: server.URL + "/keys"}).Load(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: got %v", err)
	}
}

// If this failed, keys would be read in clear text from another machine.
func TestCheckSource(t *testing.T) {
	for source, ok := range map[string]bool{
		"keys.json": true, "/etc/keys.json": true, "https://idp.example/keys": true, "https://idp.example:8443/keys?v=1": true,
		"http://127.0.0.1:8080/keys": true, "http://[::1]/keys": true, "http://localhost/keys": true,
		"http://idp.example/keys": false, "http://10.0.0.1/keys": false, "http://127.0.0.1.example/keys": false, "ftp://127.0.0.1/keys": false,
		"https:///keys": false, "https://user:password@idp.example/keys": false, "://": false, "file:///etc/keys.json": false,
	} {
		if err := jwt.CheckSource(source); (err == nil) != ok {
			t.Errorf("%s: got %v, want it accepted: %v", source, err, ok)
		}
		if err := jwt.CheckSource(source); err != nil && strings.Contains(err.Error(), "password@") {
			t.Errorf("%s: the error shows a password", source)
		}
	}
}
