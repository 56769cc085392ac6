package api

import (
	"context"
	"encoding/base64"
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
// milliseconds, that TTLs count from. It fails if a value cannot be read.
func (o *List) AppendPage(ctx context.Context, b []byte, snap *kv.Snapshot, now int64) ([]byte, error) {
	b = append(b, `{"entries":[`...)
	n, last, more := 0, "", false
	for key, e := range snap.Scan(o.Prefix, o.After) {
		if n == o.Limit || n > 0 && !o.KeysOnly && len(b)+e.Size() > pageBytes {
			more = true
			break
		}
		if n > 0 {
			b = append(b, ',')
		}
		e, err := o.Resolve(ctx, snap, key, e)
		if err != nil {
			return b, err
		}
		b = AppendEntry(b, key, e, now, !o.KeysOnly)
		n, last = n+1, key
	}
	b = append(b, ']')
	if more {
		b = append(b, `,"next":"`...)
		b = append(appendCursor(b, last), '"')
	}
	b = AppendPosition(append(b, ','), snap.Position())
	return append(b, '}'), nil
}

// Resolve returns e with its value, unless the list shows none.
func (o *List) Resolve(ctx context.Context, snap *kv.Snapshot, key string, e *kv.Entry) (*kv.Entry, error) {
	if o.KeysOnly {
		return e, nil
	}
	return snap.Resolve(ctx, key, e)
}
