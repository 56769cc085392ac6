package trace

import "encoding/hex"

// A Parent is what a caller's traceparent says.
type Parent struct {
	Trace   ID
	Span    SpanID
	Sampled bool
}

const (
	parentSize = 2 + 1 + 2*len(ID{}) + 1 + 2*len(SpanID{}) + 1 + 2
	// flagSampled is the bit of the flags that says that the caller records the trace.
	flagSampled = 1
)

// ParseParent reads the value of the header traceparent, as W3C Trace Context has it. It reports
// false for one that is to be ignored.
func ParseParent(text []byte) (p Parent, ok bool) {
	if len(text) < parentSize || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return p, false
	}
	var version, flags [1]byte
	if !readHex(version[:], text[:2]) || !readHex(p.Trace[:], text[3:35]) || !readHex(p.Span[:], text[36:52]) || !readHex(flags[:], text[53:55]) {
		return Parent{}, false
	}
	// Later versions may have more behind it.
	more := len(text) > parentSize
	if version[0] == 0xff || version[0] == 0 && more || more && text[parentSize] != '-' || p.Trace == (ID{}) || p.Span == (SpanID{}) {
		return Parent{}, false
	}
	p.Sampled = flags[0]&flagSampled != 0
	return p, true
}

// readHex decodes lower case, which is the only one allowed.
func readHex(to, text []byte) bool {
	for _, c := range text {
		if c >= 'A' && c <= 'F' {
			return false
		}
	}
	_, err := hex.Decode(to, text)
	return err == nil
}
