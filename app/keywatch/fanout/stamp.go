package fanout

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// A stamp is what a published value begins with.
type stamp struct {
	// series is a sequence of values that one connection published, each after
	// the one before it was answered; seq counts in it from 1.
	series, seq uint32
	// at is when the value was sent, on the clock of now.
	at time.Duration
}

const (
	stampMark = "kwfan."
	stampSize = len(stampMark) + 8 + 8 + 16
)

// appendTo appends s and fills up to size bytes.
func (s stamp) appendTo(b []byte, size int) []byte {
	b = fmt.Appendf(b, "%s%08x%08x%016x", stampMark, s.series, s.seq, uint64(s.at))
	return append(b, bytes.Repeat([]byte{'.'}, max(0, size-stampSize))...)
}

var markBytes = []byte(stampMark)

// findStamp returns the stamp in b, if there is one.
func findStamp(b []byte) (s stamp, ok bool) {
	i := bytes.Index(b, markBytes)
	if i < 0 || len(b) < i+stampSize {
		return stamp{}, false
	}
	b = b[i+len(stampMark):]
	series, err1 := hexField(b[:8])
	seq, err2 := hexField(b[8:16])
	at, err3 := hexField(b[16:32])
	if err1 != nil || err2 != nil || err3 != nil {
		return stamp{}, false
	}
	return stamp{uint32(series), uint32(seq), time.Duration(at)}, true
}

func hexField(b []byte) (uint64, error) { return strconv.ParseUint(string(b), 16, 64) }
