package wire

import (
	"strconv"
	"strings"
)

// A Proto is a version of the protocol: 2 or 3. Its methods append what differs between them.
type Proto uint8

// The versions.
const (
	RESP2 Proto = 2
	RESP3 Proto = 3
)

// AppendSimple appends a short text without line ends.
func AppendSimple(b []byte, s string) []byte {
	return append(append(append(b, '+'), s...), '\r', '\n')
}

// AppendError appends an error. Line ends in it become blanks.
func AppendError(b []byte, s string) []byte {
	b = append(b, '-')
	if strings.ContainsAny(s, "\r\n") {
		s = strings.NewReplacer("\r", " ", "\n", " ").Replace(s)
	}
	return append(append(b, s...), '\r', '\n')
}

// AppendInt appends a number.
func AppendInt(b []byte, n int64) []byte {
	return append(strconv.AppendInt(append(b, ':'), n, 10), '\r', '\n')
}

// AppendBulk appends bytes.
func AppendBulk[T string | []byte](b []byte, s T) []byte {
	b = append(strconv.AppendInt(append(b, '$'), int64(len(s)), 10), '\r', '\n')
	return append(append(b, s...), '\r', '\n')
}

// AppendArray begins an array of n elements, which follow.
func AppendArray(b []byte, n int) []byte { return appendHead(b, '*', n) }

func appendHead(b []byte, kind byte, n int) []byte {
	return append(strconv.AppendInt(append(b, kind), int64(n), 10), '\r', '\n')
}

// Nil appends that there is nothing.
func (p Proto) Nil(b []byte) []byte {
	if p == RESP3 {
		return append(b, "_\r\n"...)
	}
	return append(b, "$-1\r\n"...)
}

// NilArray appends that there is nothing where an array could be.
func (p Proto) NilArray(b []byte) []byte {
	if p == RESP3 {
		return append(b, "_\r\n"...)
	}
	return append(b, "*-1\r\n"...)
}

// Map begins a map of n keys and values, which follow; in RESP2 it is an array.
func (p Proto) Map(b []byte, n int) []byte {
	if p == RESP3 {
		return appendHead(b, '%', n)
	}
	return appendHead(b, '*', 2*n)
}

// Set begins a set of n elements, which follow; in RESP2 it is an array.
func (p Proto) Set(b []byte, n int) []byte {
	if p == RESP3 {
		return appendHead(b, '~', n)
	}
	return appendHead(b, '*', n)
}

// Push begins a message of n elements that answers nothing; in RESP2 it is an array.
func (p Proto) Push(b []byte, n int) []byte {
	if p == RESP3 {
		return appendHead(b, '>', n)
	}
	return appendHead(b, '*', n)
}

// Text appends text for people.
func (p Proto) Text(b []byte, s string) []byte {
	if p != RESP3 {
		return AppendBulk(b, s)
	}
	b = appendHead(b, '=', len(s)+4)
	b = append(append(b, "txt:"...), s...)
	return append(b, '\r', '\n')
}
