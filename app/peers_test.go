package app_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/cluster/peer"
)

// three are the URLs of three servers of one store, and what stops each.
type three struct {
	t     testing.TB
	tick  time.Duration
	keep  app.Size // of the log; 0 for the default
	token peer.Token
	addrs map[uint64]string
	dirs  [3]string
	url   [3]string
	stop  [3]func() error
}

// startThree starts three servers over HTTP with logs on disk.
func startThree(t testing.TB, tick time.Duration) *three {
	t.Helper()
	return startThreeThatKeep(t, tick, 0)
}

// startThreeThatKeep starts three servers that keep so much log for each other.
func startThreeThatKeep(t testing.TB, tick time.Duration, keep app.Size) *three {
	t.Helper()
	s := &three{t: t, tick: tick, keep: keep, token: peer.NewToken(), addrs: make(map[uint64]string)}
	var listeners [3]net.Listener
	for i := range listeners {
		listeners[i] = s.listen("127.0.0.1:0")
		s.addrs[uint64(i+11)], s.dirs[i] = listeners[i].Addr().String(), t.TempDir()
	}
	var wg sync.WaitGroup
	for i := range listeners {
		wg.Go(func() { s.start(i, listeners[i]) })
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return s
}

func (s *three) listen(addr string) net.Listener {
	s.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

// start starts one of them and waits until it serves.
func (s *three) start(i int, l net.Listener) {
	config := app.Config{Data: s.dirs[i], Peers: app.PeerConfig{LogKeep: s.keep}}.AsPeer(uint64(i+11), l, s.addrs, s.token, s.tick)
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		ended <- app.Serve(ctx, app.ServeConfig{Config: config, Listen: "127.0.0.1:0"}, func(a net.Addr) { started <- a })
	}()
	s.stop[i] = sync.OnceValue(func() error { cancel(); return <-ended })
	s.t.Cleanup(func() {
		if err := s.stop[i](); err != nil {
			s.t.Errorf("server %d: %v", i, err)
		}
	})
	select {
	case a := <-started:
		s.url[i] = "http://" + a.String()
	case err := <-ended:
		ended <- err
		s.t.Errorf("server %d: %v", i, err)
	}
}

// again starts one that was stopped.
func (s *three) again(i int) {
	s.t.Helper()
	if s.start(i, s.listen(s.addrs[uint64(i+11)])); s.t.Failed() {
		s.t.FailNow()
	}
}

// ask sends a request and returns the answer's body and header.
func ask(t testing.TB, method, url, body string) (string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s: got %s %s, %v", method, url, resp.Status, b, err)
	}
	return string(b), resp.Header
}

// Any of three servers must take any request, show at once what another acknowledged, and go on
// with a watch that another one served, from the position where that ended, without a gap.
func TestThreeServersAnswerAlike(t *testing.T) {
	s := startThree(t, 5*time.Millisecond)
	var last string
	for i := range 30 {
		key := fmt.Sprintf("k/%d", i%5)
		_, h := ask(t, "PUT", s.url[i%3]+"/v1/kv/"+key, fmt.Sprint(i))
		last = h.Get("Keywatch-Position")
		if got, _ := ask(t, "GET", s.url[(i+1)%3]+"/v1/kv/"+key, ""); got != fmt.Sprint(i) {
			t.Fatalf("a read at the next server: got %q, want %d", got, i)
		}
	}
	seen := watchUntil(t, s.url[0], "", "event: synced")
	for i := 30; i < 60; i++ { // the watcher is on its way to the next server
		ask(t, "PUT", s.url[i%3]+"/v1/kv/k/hop", fmt.Sprint(i))
	}
	seen = watchUntil(t, s.url[1], seen, `"value":"59"`)
	_, h := ask(t, "PUT", s.url[2]+"/v1/kv/k/hop", "60")
	if now := h.Get("Keywatch-Position"); now == last || seen == "" {
		t.Errorf("positions: %q, %q, %q", last, now, seen)
	}
	// The third is told of a position that it has perhaps not applied yet.
	if seen = watchUntil(t, s.url[0], seen, `"value":"60"`); seen == "" {
		t.Error("no position")
	}
	if _, h := ask(t, "GET", s.url[1]+"/v1/kv/k/hop?consistency=local", ""); h.Get("Keywatch-Lag") == "" {
		t.Errorf("a local read says nothing of its lag: %v", h)
	}
}

// watchUntil watches k/ after a position until a message has a text, and returns its position. It
// fails if the watch begins again, or a value of k/hop is left out.
func watchUntil(t *testing.T, url, since, text string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	target := url + "/v1/watch?prefix=k/"
	if since != "" {
		target += "&since=" + since
	}
	req, err := http.NewRequestWithContext(ctx, "GET", target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	position, message, hop := since, "", -1
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		if message += line + "\n"; line != "" {
			continue
		}
		if _, after, ok := strings.Cut("\n"+message, "\nid: "); ok {
			position, _, _ = strings.Cut(after, "\n")
		}
		if since != "" && strings.Contains(message, "event: reset") {
			t.Fatalf("the watch of %s after %s begins again", url, since)
		}
		if _, after, ok := strings.Cut(message, `"key":"k/hop","value":"`); ok {
			var now int
			fmt.Sscan(after, &now)
			if hop >= 0 && now != hop+1 {
				t.Fatalf("k/hop is %d after %d", now, hop)
			}
			hop = now
		}
		if strings.Contains(message, text) {
			return position
		}
		message = ""
	}
	t.Fatalf("the watch of %s ended: %v", url, lines.Err())
	return ""
}
