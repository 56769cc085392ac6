package api

import (
	"context"
	"encoding/base64"
	"runtime"
	"strings"

	"keywatch/kv"
)

// Consistencies of a read, by name: what every write before it has done, or what
// this server knows.
const (
	Linearizable = "linearizable"
	Local        = "local"
)

// A List is what a list asks for: the keys that begin with Prefix and come after
// After, up to Limit of them.
type List struct {
	Prefix, After string
	Limit         int
	// KeysOnly leaves out the values.
	KeysOnly bool
	// Local asks for what this server knows.
	Local bool
}

// A cursor is the last key of the page before, in disguise, because it may
// become something else one day.
var cursorEncoding = base64.RawURLEncoding.Strict()

const cursorVersion = "1"

// entriesAtOnce is how many entries are written before other goroutines run: a large page
// takes milliseconds, and a write would wait for all that were asked for at once.
const entriesAtOnce = 64

func appendCursor(b []byte, last string) []byte {
	return cursorEncoding.AppendEncode(b, []byte(cursorVersion+last))
}

// ParseCursor returns the key after which the page begins that cursor stands for.
// It fails if no list of this prefix gave it.
func ParseCursor(cursor, prefix string) (after string, err error) {
	raw, err := cursorEncoding.DecodeString(cursor)
	after, ok := strings.CutPrefix(string(raw), cursorVersion)
	if err != nil || !ok || kv.CheckKey(after) != nil || !strings.HasPrefix(after, prefix) {
		return "", Refuse(CodeBadParameter, "cursor: expected the value of next from a list of the same prefix")
	}
	return after, nil
}

// AppendPage appends the object of one page of snap. now is the log time, in
// milliseconds, that TTLs count from. A page ends where room has no more, unless that
// is before its first entry. It fails if a value cannot be read, and as Room does.
func (o *List) AppendPage(ctx context.Context, b []byte, snap *kv.Snapshot, now int64, room Room) ([]byte, error) {
	b = append(b, `{"entries":[`...)
	n, last := 0, ""
	for key, e := range snap.Scan(o.Prefix, o.After) {
		if o.full(n, len(b), e) {
			return o.endPage(b, last, true, snap), nil
		}
		grown, err := room.Entry(b, key, o.size(e))
		if err != nil && n > 0 {
			return o.endPage(b, last, true, snap), nil
		}
		if err == nil {
			e, err = o.Resolve(ctx, snap, key, e)
		}
		if err != nil {
			return b, err
		}
		if b = grown; n > 0 {
			b = append(b, ',')
		}
		b = AppendEntry(b, key, e, now, !o.KeysOnly)
		if err := room.Took(b); err != nil {
			return b, err
		}
		if n, last = n+1, key; n%entriesAtOnce == 0 {
			runtime.Gosched()
		}
	}
	return o.endPage(b, last, false, snap), nil
}

// full reports whether a page of n entries and size bytes ends before e.
func (o *List) full(n, size int, e *kv.Entry) bool {
	return n == o.Limit || n > 0 && size+o.size(e) > pageBytes
}

// size returns how many bytes of the value of e a page shows.
func (o *List) size(e *kv.Entry) int {
	if o.KeysOnly {
		return 0
	}
	return e.Size()
}

// endPage ends a page whose last key is last; more says that others follow.
func (o *List) endPage(b []byte, last string, more bool, snap *kv.Snapshot) []byte {
	b = append(b, ']')
	if more {
		b = append(b, `,"next":"`...)
		b = append(appendCursor(b, last), '"')
	}
	b = AppendPosition(append(b, ','), snap.Position())
	return append(b, '}')
}

// Resolve returns e with its value, unless the list shows none.
func (o *List) Resolve(ctx context.Context, snap *kv.Snapshot, key string, e *kv.Entry) (*kv.Entry, error) {
	if o.KeysOnly {
		return e, nil
	}
	return snap.Resolve(ctx, key, e)
}
