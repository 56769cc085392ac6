package api_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"keywatch/web/api"
)

// A duration that is read is one that can be written down again: not negative,
// and the same as Go's own reading.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{"30s", "250ms", "24h", "7", "1.5", "1h30m", "0", "-1s", "1e9", "9223372036854775807h", "1.s", "."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := api.ParseDuration(s)
		if !ok {
			return
		}
		want, err := time.ParseDuration(s)
		if err != nil {
			want, err = time.ParseDuration(s + "s")
		}
		if err != nil || d != want || d < 0 {
			t.Errorf("%q: got %v, want %v, %v", s, d, want, err)
		}
	})
}

// Durations are what people type most; each of these has one meaning.
func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"250ms": 250 * time.Millisecond, "30s": 30 * time.Second, "24h": 24 * time.Hour, "7": 7 * time.Second,
		"1.5": 1500 * time.Millisecond, "1h30m": 90 * time.Minute, "0": 0,
	} {
		if got, ok := api.ParseDuration(text); !ok || got != want {
			t.Errorf("%q: got %v %v, want %v", text, got, ok, want)
		}
	}
	bad := []string{"", "s", "-1s", "+1s", " 1s", "1s ", "1d", "1us", "1e3", "0x10", ".5s", "1..5", "9223372036854775807h", strings.Repeat("1", 40)}
	if i := slices.IndexFunc(bad, func(s string) bool { _, ok := api.ParseDuration(s); return ok }); i >= 0 {
		t.Errorf("%q was taken", bad[i])
	}
}
