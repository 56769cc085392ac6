package web

import (
	"cmp"
	"context"
	"encoding/base64"
	"io"
	"iter"
	"strings"

	"keywatch/kv"
	"keywatch/ratelimit"
)

// A listOptions is what a list asks for.
type listOptions struct {
	prefix, after string
	limit         int
	keysOnly      bool
	local         bool
}

// list answers GET of the keys with a prefix.
func (r *request) list() error {
	if err := r.unconditional(fieldIfMatch, fieldIfNoneMatch, fieldIfFence); err != nil {
		return err
	}
	if err := r.unconditional(dated...); err != nil {
		return err
	}
	form, err := r.negotiate(mediaJSON, mediaNDJSON)
	if err != nil {
		return err
	}
	opts, err := r.listOptions(form == 1)
	if err != nil {
		return err
	}
	if err := r.charge(ratelimit.Read, 1); err != nil {
		return err
	}
	snap, err := r.snapshot(opts.local)
	if err != nil {
		return err
	}
	r.position(snap.Position())
	if form == 1 {
		r.streamList(&opts, snap)
		return nil
	}
	defer snap.Close()
	r.out, err = appendPage(r.patience(), r.out[:0], &opts, snap, r.s.opts.Store.Now())
	if err := cmp.Or(snap.Err(), coldError(err)); err != nil {
		return err
	}
	r.json(200)
	return nil
}

// listOptions reads the query of a list. A stream has no pages.
func (r *request) listOptions(stream bool) (o listOptions, err error) {
	o.limit = pageDefault
	prefix, _, err := r.params.take("prefix")
	if err != nil {
		return o, err
	}
	if err := kv.CheckPrefix(prefix); err != nil {
		return o, err
	}
	o.prefix = prefix
	if o.keysOnly, err = r.params.flag("keys", false); err != nil {
		return o, err
	}
	if o.local, err = r.consistency(); err != nil {
		return o, err
	}
	if stream {
		return o, r.params.done()
	}
	if text, ok, err := r.params.take("limit"); err != nil {
		return o, err
	} else if ok {
		if o.limit, err = integer("limit", text, pageMax); err != nil {
			return o, err
		}
	}
	if text, ok, err := r.params.take("cursor"); err != nil {
		return o, err
	} else if ok {
		if o.after, err = parseCursor(text, prefix); err != nil {
			return o, err
		}
	}
	return o, r.params.done()
}

// A cursor is the last key of the page before, in disguise, because it may
// become something else one day.
var cursorEncoding = base64.RawURLEncoding.Strict()

const cursorVersion = "1"

func appendCursor(b []byte, last string) []byte {
	return cursorEncoding.AppendEncode(b, lend(cursorVersion+last))
}

func parseCursor(text, prefix string) (after string, err error) {
	raw, err := cursorEncoding.DecodeString(text)
	after, ok := strings.CutPrefix(string(raw), cursorVersion)
	if err != nil || !ok || kv.CheckKey(after) != nil || !strings.HasPrefix(after, prefix) {
		return "", refuse(CodeBadParameter, "the cursor is not one that a list of this prefix gave")
	}
	return after, nil
}

// snapshot opens a snapshot for the request.
func (r *request) snapshot(local bool) (*kv.Snapshot, error) {
	if local {
		return r.s.opts.Store.State().Snapshot()
	}
	snap, err := r.s.opts.Store.Snapshot(r.patience())
	return snap, readError(err)
}

// appendPage appends one page. now is the log time that TTLs count from.
func appendPage(ctx context.Context, b []byte, o *listOptions, snap *kv.Snapshot, now int64) ([]byte, error) {
	b = append(b, `{"entries":[`...)
	n, last, more := 0, "", false
	for key, e := range snap.Scan(o.prefix, o.after) {
		if n == o.limit || n > 0 && !o.keysOnly && len(b)+e.Size() > pageBytes {
			more = true
			break
		}
		if n > 0 {
			b = append(b, ',')
		}
		e, err := o.resolve(ctx, snap, key, e)
		if err != nil {
			return b, err
		}
		b = appendEntry(b, key, e, now, !o.keysOnly)
		n, last = n+1, key
	}
	b = append(b, ']')
	if more {
		b = append(b, `,"next":"`...)
		b = append(appendCursor(b, last), '"')
	}
	b = appendPosition(append(b, ','), snap.Position())
	return append(b, '}'), nil
}

// resolve returns e with its value, unless the list shows none.
func (o *listOptions) resolve(ctx context.Context, snap *kv.Snapshot, key string, e *kv.Entry) (*kv.Entry, error) {
	if o.keysOnly {
		return e, nil
	}
	return snap.Resolve(ctx, key, e)
}

// streamList answers with every entry of one snapshot, which it closes, as
// lines of JSON; the position is the last line. A body that ends without it was
// cut off.
func (r *request) streamList(o *listOptions, snap *kv.Snapshot) {
	r.f.Response.Header.SetContentTypeBytes(typeNDJSON)
	if r.method == methodHead {
		// Fasthttp ends even a stream that it does not send, by an empty line.
		r.f.Response.Header.SetContentLength(-1)
		snap.Close()
		return
	}
	l := &listReader{opts: *o, life: r.s.life, snap: snap, now: r.s.opts.Store.Now()}
	l.next, l.stop = iter.Pull2(snap.Scan(o.prefix, ""))
	r.f.Response.SetBodyStream(l, -1)
}

// A listReader produces the lines of a list as they are sent.
type listReader struct {
	opts listOptions
	life context.Context
	snap *kv.Snapshot
	now  int64
	next func() (string, *kv.Entry, bool)
	stop func()
	// buf holds lines from sent on that were not read yet.
	buf  []byte
	sent int
	done bool
}

// linesAhead is how many bytes of lines are made at once.
const linesAhead = 16 << 10

// Read implements io.Reader.
func (l *listReader) Read(p []byte) (int, error) {
	if l.sent == len(l.buf) {
		if err := l.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, l.buf[l.sent:])
	l.sent += n
	return n, nil
}

// fill makes more lines. It fails with io.EOF after the last, and if the
// snapshot was ended.
func (l *listReader) fill() error {
	if l.done {
		return io.EOF
	}
	l.buf, l.sent = l.buf[:0], 0
	for len(l.buf) < linesAhead && !l.done {
		key, e, ok := l.next()
		if ok {
			e, err := l.opts.resolve(l.life, l.snap, key, e)
			if err != nil {
				return err
			}
			l.buf = append(appendEntry(l.buf, key, e, l.now, !l.opts.keysOnly), '\n')
			continue
		}
		l.done = true
		l.buf = append(appendPosition(append(l.buf, '{'), l.snap.Position()), '}', '\n')
	}
	return l.snap.Err()
}

// Close implements io.Closer; the server calls it when the answer was sent or
// cannot be.
func (l *listReader) Close() error {
	l.stop()
	l.snap.Close()
	return nil
}
