package resp

import (
	"strings"
)

// A mask says which keyspace notifications are sent.
type mask uint32

// The letters of notify-keyspace-events, in the order that they are shown in.
const maskLetters = "g$lshzxetdnmKE"

func parseMask(s string) (m mask, ok bool) {
	for _, c := range s {
		if c == 'A' {
			m |= maskAll
			continue
		}
		i := strings.IndexRune(maskLetters, c)
		if i < 0 {
			return 0, false
		}
		m |= 1 << i
	}
	return m, true
}

// String returns the letters of m, A for all that it stands for.
func (m mask) String() string {
	var b strings.Builder
	if m&maskAll == maskAll {
		b.WriteByte('A')
	}
	for i, c := range maskLetters {
		bit := mask(1) << i
		if m&bit != 0 && (m&maskAll != maskAll || bit&maskAll == 0) {
			b.WriteRune(c)
		}
	}
	return b.String()
}
