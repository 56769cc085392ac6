package proxies_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"keywatch/test/gate"
)

// events opens a stream, which ends with ctx, and returns its lines and how it
// was encoded.
func events(ctx context.Context, t *testing.T, addr string, browser bool) (lines <-chan string, encoding string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+addr+"/v1/watch?key=k&state=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	if browser {
		req.Header.Set("Sec-Fetch-Mode", "cors")
	}
	resp, err := http.DefaultClient.Do(req) // takes gzip, and undoes it
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d", resp.StatusCode)
	}
	if resp.Uncompressed {
		encoding = "gzip"
	}
	out := make(chan string, 1000) // lines; closed when the stream ends
	go func() {
		defer close(out)
		defer resp.Body.Close()
		for in := bufio.NewScanner(resp.Body); in.Scan(); {
			select {
			case out <- in.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, encoding
}

// await returns whether a line that begins with want comes before ctx ends.
func await(ctx context.Context, lines <-chan string, want string) bool {
	for {
		select {
		case line, ok := <-lines:
			if !ok || strings.HasPrefix(line, want) {
				return ok
			}
		case <-ctx.Done():
			return false
		}
	}
}

const (
	// heldBack is more time than events take that come at once. Proxies that hold
	// back for more to come do so for 200 ms, each time.
	heldBack = 190 * time.Millisecond
	// prompt is how many events must come sooner than that. On a busy machine it may
	// take many events until so many have; where they are held back none do.
	prompt = 10
	// sent is how many events are sent at least.
	sent = 20
)

// If an event waited in a proxy for the next one, a dashboard behind that proxy
// would always be one change late: each must come through before another is
// written.
func TestEventsComeAtOnce(t *testing.T) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			ctx, cancel := context.WithCancel(gate.Context(t))
			defer cancel()
			lines, _ := events(ctx, t, w.open(t, s.addr), w.browser)
			if !await(ctx, lines, "event: synced") {
				t.Fatal("the stream did not begin")
			}
			i, quick := 0, 0
			for ; i < sent || quick < prompt; i++ {
				began := time.Now()
				s.put("k", fmt.Sprint(i))
				if !await(ctx, lines, fmt.Sprintf(`data: {"type":"put","key":"k","value":"%d"`, i)) {
					t.Fatalf("event %d did not come by itself; %d came within %v", i, quick, heldBack)
				}
				if time.Since(began) < heldBack {
					quick++
				}
			}
			t.Logf("%d events, %d of them within %v", i, quick, heldBack)
			cancel()
		})
	}
}

// If this passed at once, the test above could not tell a proxy that keeps events
// from one that does not: told to ignore the server, nginx keeps them.
func TestProofAProxyThatKeepsEventsIsFound(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	s := newServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	addr := nginx(t, s.addr, gzipOn, "proxy_ignore_headers X-Accel-Buffering; gzip_buffers 16 64k;")
	began := make(chan bool, 1) // whether the stream's head and beginning came
	short, stop := context.WithTimeout(ctx, 3*time.Second)
	defer stop()
	go func() {
		req, _ := http.NewRequestWithContext(short, "GET", "http://"+addr+"/v1/watch?key=k&state=0", nil)
		req.Header.Set("Accept", "text/event-stream")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			began <- false
			return
		}
		defer resp.Body.Close()
		in := bufio.NewScanner(resp.Body)
		for in.Scan() {
			if in.Text() == "event: synced" {
				began <- true
				return
			}
		}
		began <- false
	}()
	if <-began {
		t.Error("nginx passed events on although it was told to keep them: the test above shows nothing")
	}
}
