package kv

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Rev is a revision: the number of a write request in the history of one
// store. The first is 1; 0 stands for "none" or "absent". Clients compare
// revisions of one key or of one batch only.
type Rev uint64

// RevLift is added to the revision wherever a new epoch begins on top of an
// older history, so that no revision ever names two things.
const RevLift Rev = 1 << 32

// noRev is a revision that no entry can have: a condition on it always fails.
const noRev Rev = math.MaxUint64

// Epoch identifies one history of a store. It is drawn at random at bootstrap,
// at restore, and where acknowledged writes may have been lost. 0 is none.
type Epoch uint32

// String returns the eight hexadecimal digits that clients see.
func (e Epoch) String() string { return fmt.Sprintf("%08x", uint32(e)) }

// A Position is a point in a store's history, after the revision it names.
// Clients treat its text form as opaque and resume a watch from it.
type Position struct {
	Epoch Epoch
	Rev   Rev
}

// ErrBadPosition is returned when a text is not a position.
var ErrBadPosition = errors.New("malformed position")

// AppendTo appends the text form, <epoch>-<rev>, to b.
func (p Position) AppendTo(b []byte) []byte {
	const digits = "0123456789abcdef"
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, digits[(p.Epoch>>shift)&0xf])
	}
	b = append(b, '-')
	return strconv.AppendUint(b, uint64(p.Rev), 10)
}

// String returns the text form, for example 7f3a9c21-1042.
func (p Position) String() string { return string(p.AppendTo(make([]byte, 0, 24))) }

// ParsePosition reads the text form. It fails with ErrBadPosition unless s is
// exactly what AppendTo writes.
func ParsePosition(s string) (Position, error) {
	head, tail, ok := strings.Cut(s, "-")
	if !ok || len(head) != 8 || len(tail) == 0 || (tail[0] == '0' && len(tail) > 1) || tail[0] == '+' {
		return Position{}, ErrBadPosition
	}
	if strings.ToLower(head) != head {
		return Position{}, ErrBadPosition
	}
	epoch, err := strconv.ParseUint(head, 16, 32)
	if err != nil {
		return Position{}, ErrBadPosition
	}
	rev, err := strconv.ParseUint(tail, 10, 64)
	if err != nil {
		return Position{}, ErrBadPosition
	}
	return Position{Epoch: Epoch(epoch), Rev: Rev(rev)}, nil
}
