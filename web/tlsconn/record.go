package tlsconn

import "encoding/binary"

const (
	// recordHead is the size of what begins a record: its kind, version and length.
	recordHead = 5
	// recordMax is the largest length that a record may say, recordMajor the first half of its version.
	recordMax, recordMajor = 16<<10 + 2<<10, 3
)

// Records returns the size of the whole records that b begins with. One whose version or length cannot
// be right is for Read to refuse, with all behind it.
func Records(b []byte) (n int) {
	for len(b)-n >= recordHead {
		size := int(binary.BigEndian.Uint16(b[n+3:]))
		if size > recordMax || b[n+1] != recordMajor {
			return len(b)
		}
		if len(b)-n < recordHead+size {
			break
		}
		n += recordHead + size
	}
	return n
}
