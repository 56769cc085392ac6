//go:build linux

package fanout_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"keywatch/app/keywatch/fanout"
	"keywatch/test/gate"
)

// durations counts what it is told.
type durations struct {
	n   uint64
	max time.Duration
}

func (d *durations) Add(took time.Duration) {
	d.n++
	d.max = max(d.max, took)
}

func options(b *broker, kind string) fanout.Options {
	o := fanout.Options{
		SubURL: b.url + "/" + kind + "/{key}", PubURL: b.url + "/pub/{key}", Transport: fanout.SSE,
		Watchers: 6, Keys: 3, Prefix: "k", Size: 200, Rate: 400, Duration: 300 * time.Millisecond,
		Settle: time.Millisecond, Drain: 500 * time.Millisecond, OpenTimeout: time.Hour,
	}
	if kind == "ws" {
		o.Transport = fanout.WebSocket
	}
	return o
}

func run(t *testing.T, o fanout.Options) *fanout.Result {
	t.Helper()
	r, err := fanout.Run(gate.Context(t), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Without it a benchmark could misread a good server's streams, wherever the
// network splits them, and blame the server.
func TestAFaithfulServerIsWhole(t *testing.T) {
	for _, kind := range []string{"sub", "ws"} {
		for _, bytewise := range []bool{false, true} {
			b := newBroker(t, faithful)
			b.bytewise.Store(bytewise)
			o, took := options(b, kind), &durations{}
			o.Drain = time.Hour // all of it comes
			o.Delivery = took
			r := run(t, o)
			if !r.Whole() || r.Published < 10 || r.Expected != 2*r.Published || r.Delivered != r.Expected {
				t.Errorf("%s, byte by byte %v: got %+v, want all of it", kind, bytewise, r)
			}
			if took.n != r.Delivered || took.max <= 0 || took.max > time.Minute {
				t.Errorf("%s: got %d latencies up to %v for %d values", kind, took.n, took.max, r.Delivered)
			}
			if got := b.pongs.Load(); kind == "ws" && got != 6 {
				t.Errorf("%d of 6 pings were answered", got)
			}
		}
	}
}

// Without it a benchmark would praise a server that loses, repeats, swaps or
// misdirects.
func TestFaultsAreCounted(t *testing.T) {
	for _, c := range []struct {
		name   string
		tamper func(b *broker, key string, n int, value string) []string
		found  func(r *fanout.Result) uint64
	}{
		{"lost", func(_ *broker, _ string, n int, v string) []string {
			if n == 3 {
				return nil
			}
			return []string{v}
		}, func(r *fanout.Result) uint64 { return min(r.Lost, r.Counts.Gaps) }},
		{"twice", func(_ *broker, _ string, n int, v string) []string {
			if n == 3 {
				return []string{v, v}
			}
			return []string{v}
		}, func(r *fanout.Result) uint64 { return r.Counts.Duplicates }},
		{"out of order", func(b *broker, key string, n int, v string) []string {
			switch n {
			case 3:
				return nil
			case 4:
				return []string{v, b.sent[key][2]}
			}
			return []string{v}
		}, func(r *fanout.Result) uint64 { return r.Counts.Disordered }},
		{"misdirected", func(b *broker, key string, n int, v string) []string {
			if key == "k1" && n == 3 {
				return []string{v, b.sent["k0"][0]}
			}
			return []string{v}
		}, func(r *fanout.Result) uint64 { return r.Counts.Misdelivered }},
	} {
		for _, kind := range []string{"sub", "ws"} {
			o := options(newBroker(t, c.tamper), kind)
			if r := run(t, o); c.found(r) == 0 || r.Whole() {
				t.Errorf("%s, %s: got %+v, want the fault counted", c.name, kind, r)
			}
		}
	}
}

// Without it a server that refuses would be asked again and again.
func TestARefusalIsAnError(t *testing.T) {
	o := options(newBroker(t, faithful), "refuse")
	if _, err := fanout.Run(context.Background(), o); err == nil || err.Error() != "the server answered 418" {
		t.Errorf("got %v, want the status", err)
	}
}

// Without it a server that never completes a watch would be waited for for ever.
func TestOpeningIsBounded(t *testing.T) {
	o := options(newBroker(t, faithful), "busy")
	o.OpenTimeout = 300 * time.Millisecond
	if _, err := fanout.Run(context.Background(), o); err == nil {
		t.Error("got a result without a watcher")
	}
}

// Without it a load would run that is not what was asked for.
func TestBadOptionsAreRefused(t *testing.T) {
	good := fanout.Options{Server: "http://127.0.0.1:1", Transport: fanout.SSE, Watchers: 1, Keys: 4, Size: 64, Rate: 1, Duration: time.Second}
	for name, spoil := range map[string]func(o *fanout.Options){
		"transport": func(o *fanout.Options) { o.Transport = "tcp" },
		"keys":      func(o *fanout.Options) { o.Keys = 0 },
		"size":      func(o *fanout.Options) { o.Size = fanout.MinSize - 1 },
		"rate":      func(o *fanout.Options) { o.Rate = 0 },
		"batch":     func(o *fanout.Options) { o.Batch = 3 },
		"watches":   func(o *fanout.Options) { o.Watches = 2 },
		"stalled":   func(o *fanout.Options) { o.Stalled = 101 },
		"one url":   func(o *fanout.Options) { o.SubURL = "http://127.0.0.1:1" },
		"tls":       func(o *fanout.Options) { o.Server = "https://127.0.0.1:1" },
		"watchers":  func(o *fanout.Options) { o.Watchers = 1 << 30 },
	} {
		o := good
		spoil(&o)
		if _, err := fanout.Run(context.Background(), o); !errors.Is(err, fanout.ErrOptions) {
			t.Errorf("%s: got %v, want %v", name, err, fanout.ErrOptions)
		}
	}
}
