package resp

import (
	"bytes"
	"math"
	"strings"
	"time"

	"keywatch/kv"
)

// An ending is when a key is to end, as a command says it.
type ending struct {
	given, keep, persist bool
	// at is a log time, ttl how long from now; past says that the time has been.
	at   int64
	ttl  time.Duration
	past bool
}

// set gives op the ending.
func (e *ending) set(op *kv.Op) {
	switch {
	case e.keep:
		op.TTL, op.KeepLease = kv.KeepTTL, op.Kind == kv.OpPut
	case e.given && e.at != 0:
		op.At = e.at
	case e.given:
		op.TTL = e.ttl
	}
}

// units are the words that say how a time is counted.
var units = map[string]struct{ seconds, absolute bool }{
	"EX": {true, false}, "PX": {false, false}, "EXAT": {true, true}, "PXAT": {false, true},
}

func isUnit(word string) bool {
	_, ok := units[word]
	return ok
}

// expiry reads a time that must lie ahead, or be absolute.
func (c *call) expiry(unit string, text []byte) (e ending, err error) {
	n, ok := kv.ParseInteger(string(text))
	if !ok {
		return e, errNotInteger
	}
	u := units[unit]
	bad := refusef("ERR invalid expire time in '%s' command", c.cmd.name)
	if n <= 0 || u.seconds && n > math.MaxInt64/1000 {
		return e, bad
	}
	if u.seconds {
		n *= 1000
	}
	if !u.absolute && n > math.MaxInt64-c.logTime()-c.distance() {
		return e, bad
	}
	return c.ending(n, u.absolute), nil
}

// ending returns the ending at n milliseconds: from now or, if absolute, of the clock of the
// day.
func (c *call) ending(n int64, absolute bool) ending {
	e := ending{given: true}
	if !absolute {
		if e.past = n <= 0; !e.past && n <= kv.MaxTTL.Milliseconds() {
			e.ttl = time.Duration(n) * time.Millisecond
			return e
		}
		e.at = later(c.logTime(), n)
	} else {
		e.at = later(n, -c.distance())
		e.past = e.at <= c.logTime()
	}
	e.at = max(1, min(e.at, kv.MaxDeadline))
	return e
}

// later adds without an overflow.
func later(a, b int64) int64 {
	switch {
	case b > 0 && a > math.MaxInt64-b:
		return math.MaxInt64
	case b < 0 && a < math.MinInt64-b:
		return math.MinInt64
	}
	return a + b
}

// upper returns an option as the table of options has it.
func upper(arg []byte) string {
	if len(arg) > 16 {
		return ""
	}
	return string(bytes.ToUpper(arg))
}

// remaining returns what TTL and its like answer for a version.
func remaining(name string, e *kv.Entry, logTime, distance int64) int64 {
	switch {
	case e == nil:
		return -2
	case e.Deadline() == 0:
		return -1
	}
	ms := e.TTL(logTime)
	if strings.HasSuffix(name, "expiretime") {
		ms = e.Deadline() + distance
	}
	if name[0] == 'p' {
		return ms
	}
	return (ms + 500) / 1000
}
