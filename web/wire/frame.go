package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

// An Op says what a frame is.
type Op uint8

// The operations.
const (
	Continuation Op = 0x0
	Text         Op = 0x1
	Binary       Op = 0x2
	Close        Op = 0x8
	Ping         Op = 0x9
	Pong         Op = 0xa
)

// control reports whether frames of this kind may stand between fragments.
func (o Op) control() bool { return o >= Close }

// known reports whether the protocol has this operation.
func (o Op) known() bool { return o <= Binary || o >= Close && o <= Pong }

// MaxControl is the largest payload of a control frame, in bytes.
const MaxControl = 125

// The close codes of the protocol itself (RFC 6455, section 7.4.1).
const (
	CloseNormal      = 1000
	CloseGoingAway   = 1001
	CloseProtocol    = 1002
	CloseUnsupported = 1003
	CloseNoStatus    = 1005 // never on the wire: the frame had no code
	CloseNotUTF8     = 1007
	CloseTooBig      = 1009
	CloseRestart     = 1012
)

// An Error says why a connection must be closed, and with which code.
type Error struct {
	Code   int
	Reason string
}

func (e *Error) Error() string { return e.Reason }

func protocolError(reason string) *Error { return &Error{CloseProtocol, reason} }

// ValidCode reports whether a close frame may carry code: those of the protocol
// that are meant for the wire, those registered with IANA, and 3000 to 4999.
func ValidCode(code int) bool {
	switch {
	case code >= 3000 && code <= 4999:
		return true
	case code < 1000 || code > 1014:
		return false
	}
	return code != 1004 && code != CloseNoStatus && code != 1006
}

// ParseClose returns the code and reason of a close frame's payload,
// CloseNoStatus if it has none. It fails with an *Error.
func ParseClose(payload []byte) (code int, reason []byte, err *Error) {
	switch {
	case len(payload) == 0:
		return CloseNoStatus, nil, nil
	case len(payload) == 1:
		return 0, nil, protocolError("a close frame has half a code")
	}
	code = int(binary.BigEndian.Uint16(payload))
	if !ValidCode(code) {
		return 0, nil, protocolError("a close frame has a code that is not allowed")
	}
	if reason = payload[2:]; !utf8.Valid(reason) {
		return 0, nil, &Error{CloseNotUTF8, "the reason of a close frame is not UTF-8"}
	}
	return code, reason, nil
}

// Reserve is the room that Finish wants before a payload.
const Reserve = 4

// Finish makes a frame, FIN set and not masked, of the payload that begins
// Reserve bytes after start in b, and returns b, which then ends with the frame.
// So a payload can be appended before its length is known.
func Finish(b []byte, start int, op Op) []byte {
	n := len(b) - start - Reserve
	switch {
	case n < 126:
		copy(b[start+2:], b[start+Reserve:])
		b = b[:start+2+n]
		b[start+1] = byte(n)
	case n < 1<<16:
		b[start+1] = 126
		binary.BigEndian.PutUint16(b[start+2:], uint16(n))
	default:
		b = append(b, make([]byte, 10-Reserve)...)
		copy(b[start+10:], b[start+Reserve:start+Reserve+n])
		b[start+1] = 127
		binary.BigEndian.PutUint64(b[start+2:], uint64(n))
	}
	b[start] = 0x80 | byte(op)
	return b
}

// Append appends a whole frame to b.
func Append(b []byte, op Op, payload []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, Reserve)...)
	return Finish(append(b, payload...), start, op)
}

// AppendClose appends a close frame. A code that must not be on the wire makes
// it an empty one; a reason that is too long is cut between two characters.
func AppendClose(b []byte, code int, reason string) []byte {
	if !ValidCode(code) {
		return Append(b, Close, nil)
	}
	if len(reason) > MaxControl-2 {
		reason = reason[:MaxControl-2]
		for !utf8.ValidString(reason) {
			reason = reason[:len(reason)-1]
		}
	}
	var payload [MaxControl]byte
	binary.BigEndian.PutUint16(payload[:], uint16(code))
	return Append(b, Close, payload[:2+copy(payload[2:], reason)])
}
