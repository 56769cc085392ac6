package ratelimit_test

import (
	"testing"
	"testing/synctest"
	"time"

	"keywatch/ratelimit"
)

// Without it a flag could be read as another limit than was written.
func TestParseRates(t *testing.T) {
	for _, c := range []struct {
		text, back string
		want       ratelimit.Options
	}{
		{"off", "off", ratelimit.Options{}},
		{"reads=off", "off", ratelimit.Options{}},
		{"reads=1000/s", "reads=1000/s:1000", ratelimit.Options{Reads: ratelimit.Rate{PerSecond: 1000, Burst: 1000}}},
		{" writes=200/s:400 , watches=30/m ", "writes=200/s:400,watches=30/m:1", ratelimit.Options{
			Writes:  ratelimit.Rate{PerSecond: 200, Burst: 400},
			Watches: ratelimit.Rate{PerSecond: 0.5, Burst: 1},
		}},
		{"writes=1/h:7", "writes=1/h:7", ratelimit.Options{Writes: ratelimit.Rate{PerSecond: 1.0 / 3600, Burst: 7}}},
		{"writes=2.5/s", "writes=150/m:3", ratelimit.Options{Writes: ratelimit.Rate{PerSecond: 2.5, Burst: 3}}},
	} {
		got, err := ratelimit.ParseRates(c.text)
		if err != nil || got != c.want {
			t.Errorf("%q: got %+v, %v, want %+v", c.text, got, err, c.want)
		}
		if back := got.Rates(); back != c.back {
			t.Errorf("%q: written back as %q, want %q", c.text, back, c.back)
		}
		if again, err := ratelimit.ParseRates(got.Rates()); err != nil || again != got {
			t.Errorf("%q: read back as %+v, %v, want %+v", got.Rates(), again, err, got)
		}
	}
}

// Without it a typing mistake could mean no limit at all.
func TestParseRatesRefuses(t *testing.T) {
	for _, text := range []string{
		"", " ", "on", "reads", "reads=", "reads=5", "reads=5/", "reads=5/d", "reads=-5/s", "reads=0/s",
		"reads=NaN/s", "reads=Inf/s", "reads=1e300/s", "reads=5/s:", "reads=5/s:0", "reads=5/s:-1", "reads=5/s:x",
		"reads=5/s,", "reads=5/s,reads=6/s", "reads=off,reads=6/s", "Reads=5/s", "other=5/s", "reads=5/s writes=5/s",
		"reads=5/s:99999999999999999999",
	} {
		if got, err := ratelimit.ParseRates(text); err == nil {
			t.Errorf("%q: got %+v, want an error", text, got)
		}
	}
}

// Without it clients that read the draft's fields would wait wrongly.
func TestHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.New(ratelimit.Options{Writes: ratelimit.Rate{PerSecond: 200, Burst: 500}})
		check := func(what, got, want string) {
			t.Helper()
			if got != want {
				t.Errorf("%s: got %s, want %s", what, got, want)
			}
		}
		check("policy", l.Policy(ratelimit.Write), `"writes";q=500;w=3`)
		check("no policy", l.Policy(ratelimit.Read), "")
		d := l.Allow("a", ratelimit.Write, 250)
		check("field", d.Field(ratelimit.Write), `"writes";r=250;t=2`)
		check("no retry", d.RetryAfterField(), "")
		d = l.Allow("a", ratelimit.Write, 251)
		check("refused", d.Field(ratelimit.Write), `"writes";r=250;t=2`)
		check("retry", d.RetryAfterField(), "1")
		d = l.Allow("a", ratelimit.Read, 1)
		check("no field", d.Field(ratelimit.Read), "")
		time.Sleep(time.Hour)
		l.Allow("a", ratelimit.Write, 1500)
		d = l.Allow("a", ratelimit.Write, 1)
		check("in debt", d.Field(ratelimit.Write), `"writes";r=0;t=8`)
		check("in debt, retry", d.RetryAfterField(), "6")
	})
}
