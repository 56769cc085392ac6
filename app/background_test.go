package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/app"
)

// If this failed, work that never ends would keep the server busy without a word, or each
// word of it would come so often that the log would not be read.
func TestLongBackgroundWorkIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log heard
		logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
		stop := make(chan struct{})
		defer close(stop)
		board, run := app.WatchBackground(logger, stop)
		go run()
		said := func(when string, want ...string) {
			t.Helper()
			synctest.Wait()
			if got := log.take(); got != strings.Join(want, "\n") {
				t.Errorf("%s: the log has\n%s\nwant\n%s", when, got, strings.Join(want, "\n"))
			}
		}
		const begin = `level=WARN msg="background work takes long" `
		sweep := board.Begin("sweep", "records")
		time.Sleep(10*time.Second - time.Millisecond)
		sweep.Add(7)
		move := board.Begin("move", "values")
		move.Expect(9)
		time.Sleep(19*time.Second + 2*time.Millisecond)
		said("after 29 s")
		time.Sleep(time.Second)
		said("after 30 s", begin+"work=sweep for=30s done=7 unit=records unchanged_for=20s")
		time.Sleep(25 * time.Second)
		move.End()
		said("after 55 s", begin+"work=move for=30s done=0 of=9 unit=values unchanged_for=30s")
		time.Sleep(6 * time.Second)
		said("after 61 s", `level=WARN msg="background work that took long has ended" work=move took=45s`,
			begin+"work=sweep for=1m0s done=7 unit=records unchanged_for=50s")
		time.Sleep(5 * time.Minute)
		said("after 6 min", begin+"work=sweep for=2m0s done=7 unit=records unchanged_for=1m50s",
			begin+"work=sweep for=4m0s done=7 unit=records unchanged_for=3m50s")
		sweep.End()
		time.Sleep(time.Second)
		said("at the end", `level=WARN msg="background work that took long has ended" work=sweep took=6m1s`)
	})
}

// heard is a log that is read while it is written.
type heard struct {
	mu struct {
		sync.Mutex
		lines []string
	}
}

func (h *heard) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.lines = append(h.mu.lines, strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

// take returns the lines since it was called last.
func (h *heard) take() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	lines := h.mu.lines
	h.mu.lines = nil
	return strings.Join(lines, "\n")
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// A heldMove is a configuration under which moving values waits, and what tells that it does.
type heldMove struct {
	app.Config
	waits  chan struct{} // closed once it does
	closed atomic.Bool
}

// holdMove has moving wait until the client that asked for it gives up.
func holdMove(dir string) *heldMove {
	h := &heldMove{Config: app.Config{Data: dir, ObjectAfter: time.Hour}, waits: make(chan struct{})}
	h.Config = h.MovingHeld(func(ctx context.Context) {
		if h.closed.CompareAndSwap(false, true) {
			close(h.waits)
		}
		<-ctx.Done()
	})
	return h
}

// fillToMove writes enough for moving to be more than one piece of work.
func fillToMove(t *testing.T, e *app.Engine) {
	t.Helper()
	for i := range 300 {
		if _, err := e.Put(t.Context(), fmt.Sprint("k/", i), bytes.Repeat([]byte("v"), 10_000)); err != nil {
			t.Fatal(err)
		}
	}
}

// If this failed, an operator could see neither which work is under way nor since when.
func TestBackgroundWorkIsAMetric(t *testing.T) {
	h := holdMove(t.TempDir())
	e := openEngine(t, h.Config)
	fillToMove(t, e)
	for kind, n := range e.Gather() {
		if strings.HasPrefix(kind, "keywatch_background_seconds") && n != 0 {
			t.Errorf("%s is %v while nothing is done, want 0", kind, n)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	migrated := make(chan error, 1)
	go func() { migrated <- e.Migrate(ctx) }()
	<-h.waits
	works := e.Status().Background
	if len(works) != 1 || works[0].Work != "move" || works[0].Done == 0 || works[0].Total != 300 || works[0].Unit != "values" || works[0].AgeMS <= 0 {
		t.Errorf("the status has %+v, want a move of 300 values", works)
	}
	all := e.Gather()
	if all["keywatch_background_seconds{work=move}"] <= 0 || len(all) == 0 {
		t.Errorf("keywatch_background_seconds{work=move} is %v, want more than 0", all["keywatch_background_seconds{work=move}"])
	}
	cancel()
	if err := <-migrated; !errors.Is(err, context.Canceled) {
		t.Errorf("migrate: %v, want that it was given up", err)
	}
	if works := e.Status().Background; len(works) > 0 {
		t.Errorf("after the end the status has %+v", works)
	}
}

// If this failed, a stop would wait for background work, or lose what was acknowledged to
// be quick.
func TestShutdownGivesUpWhatIsLeft(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, app.Config{Data: dir})
	fillToMove(t, e)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Checkpoint(over); !errors.Is(err, context.Canceled) {
		t.Errorf("a checkpoint for nobody: %v, want that it was given up", err)
	}
	before := e.Status().Checkpoint.Made
	if err := e.Shutdown(over); err != nil {
		t.Fatalf("shutdown without time: %v", err)
	}
	e = openEngine(t, app.Config{Data: dir})
	defer e.Close()
	if before == 0 && e.Status().Checkpoint.Records > 0 {
		t.Error("a checkpoint was written for which there was no time: the test tests nothing")
	}
	for i := range 300 {
		if got, err := e.Get(t.Context(), fmt.Sprint("k/", i)); err != nil || got == nil {
			t.Fatalf("k/%d after the stop: %v, %v", i, got, err)
		}
	}
}

// If this failed, a server would run on after SIGTERM for as long as a client's move or backup
// takes.
func TestStopDuringBackgroundWork(t *testing.T) {
	for name, begin := range map[string]func(t *testing.T, h *heldMove, url string){
		"move": func(t *testing.T, h *heldMove, url string) {
			go http.Post(url+"/v1/admin/migrate", "", nil)
			<-h.waits
		},
		"backup": func(t *testing.T, h *heldMove, url string) {
			resp, err := http.Get(url + "/v1/admin/backup")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { resp.Body.Close() }) // the rest is not read
			if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := holdMove(t.TempDir())
			e := openEngine(t, h.Config)
			fillToMove(t, e)
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			began, ended := make(chan net.Addr, 1), make(chan error, 1)
			config := app.ServeConfig{Config: h.Config, Listen: "127.0.0.1:0", Grace: 50 * time.Millisecond}
			go func() { ended <- app.Serve(ctx, config, func(a net.Addr) { began <- a }) }()
			url := "http://" + (<-began).String()
			begin(t, h, url)
			stop()
			<-ended // what did not end in time may be an error
			e = openEngine(t, h.Config)
			defer e.Close()
			if n := e.Status().Tiers; n.Memory.Keys+n.Disk.Keys+n.Object.Keys != 300 {
				t.Errorf("after the stop there are %+v, want 300 keys", n)
			}
		})
	}
}

// If this failed, a server that is told to stop while it starts would start first, or say that
// it failed.
func TestStopWhileStarting(t *testing.T) {
	dir := t.TempDir()
	e := openEngine(t, app.Config{Data: dir})
	fillToMove(t, e)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	config := app.ServeConfig{Config: app.Config{Data: dir}, Listen: "127.0.0.1:0"}
	if err := app.Serve(over, config, func(net.Addr) { t.Error("it started") }); err != nil {
		t.Errorf("serve: %v, want nil", err)
	}
	e = openEngine(t, app.Config{Data: dir})
	defer e.Close()
	if got, err := e.Get(t.Context(), "k/299"); err != nil || got == nil {
		t.Errorf("after the next start: %v, %v", got, err)
	}
}
