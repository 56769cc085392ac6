package app_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"keywatch/app"
)

// Without it a limit that was mistyped would be taken for another one.
func TestSizeText(t *testing.T) {
	for text, want := range map[string]app.Size{
		"0": 0, "1": 1, "512": 512, "512B": 512, "1KiB": 1 << 10, "64MiB": 64 << 20, "2 GiB": 2 << 30, "1TiB": 1 << 40,
		"1kB": 1000, "3MB": 3e6, "1GB": 1e9, " 7 ": 7,
	} {
		var got app.Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: got %d and %v, want %d", text, got, err, want)
		}
		var again app.Size
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
			t.Errorf("%q became %q, which is %d and %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "-1", "1.5MiB", "MiB", "1mib", "1 M", "x", "9223372036854775807KiB", "99999999999999999999"} {
		var got app.Size
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

// Without it a server would start with a setting that it cannot keep, and be
// found out later.
func TestConfigIsChecked(t *testing.T) {
	good := app.Config{Data: "x"}
	if err := good.Validate(); err != nil {
		t.Errorf("only a folder: %v", err)
	}
	for want, config := range map[string]app.Config{
		"data:":             {},
		"fsync:":            {Data: "x", Fsync: "sometimes"},
		"huge-pages:":       {Data: "x", HugePages: "always"},
		"max-value:":        {Data: "x", MaxValue: -1},
		"max-queue:":        {Data: "x", MaxQueue: -1},
		"heartbeat:":        {Data: "x", Heartbeat: -time.Second},
		"max-batch:":        {Data: "x", MaxBatch: 1 << 10},
		"rate-limit:":       {Data: "x", RateLimit: "reads=fast"},
		"nonsense/33":       {Data: "x", TrustedProxy: []string{"nonsense/33"}},
		"not.an.address.at": {Data: "x", TrustedProxy: []string{"not.an.address.at"}},
	} {
		if err := config.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error about %s", err, want)
		}
	}
}

// Without it a store that asks nobody who they are would be open to the network
// by a slip.
func TestListenBeyondThisMachine(t *testing.T) {
	for _, listen := range []string{":7070", "0.0.0.0:7070", "192.0.2.1:7070", "[::]:7070", "example.com:7070", "nonsense"} {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		err := app.Serve(ctx, app.Config{MemoryOnly: true, Listen: listen}, nil)
		if err == nil || !strings.Contains(err.Error(), "listen:") {
			t.Errorf("%s: got %v, want a refusal", listen, err)
		}
	}
}
