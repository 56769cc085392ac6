package web

import (
	"cmp"
	"context"
	"io"
	"iter"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/ratelimit"
	"keywatch/web/api"
)

// list answers GET of the keys with a prefix.
func (r *request) list() error {
	if err := r.unconditional(fieldIfMatch, fieldIfNoneMatch, fieldIfFence); err != nil {
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
	if form == 1 {
		if err := r.unhurried(); err != nil {
			return err
		}
	}
	if err := r.charge(ratelimit.Read, 1); err != nil {
		return err
	}
	snap, pass, err := r.snapshot(&opts)
	if err != nil {
		return err
	}
	r.position(snap.Position())
	if form == 1 {
		r.streamList(&opts, snap, pass)
		return nil
	}
	defer snap.Close()
	r.out, err = opts.AppendPage(r.deadline(), r.out[:0], snap, r.s.door.Now(), r.room)
	if err := cmp.Or(snap.Err(), api.ColdError(err), pass.Still()); err != nil {
		return err
	}
	r.json(200)
	return nil
}

// listOptions reads the query of a list. A stream has no pages.
func (r *request) listOptions(stream bool) (o api.List, err error) {
	o.Limit = api.PageDefault
	prefix, _, err := r.params.take("prefix")
	if err != nil {
		return o, err
	}
	if err := kv.CheckPrefix(prefix); err != nil {
		return o, err
	}
	o.Prefix = prefix
	if o.KeysOnly, err = r.params.flag("keys", false); err != nil {
		return o, err
	}
	if o.Local, err = r.consistency(); err != nil {
		return o, err
	}
	if stream {
		return o, r.params.done()
	}
	if text, ok, err := r.params.take("limit"); err != nil {
		return o, err
	} else if ok {
		if o.Limit, err = integer("limit", text, api.PageMax); err != nil {
			return o, err
		}
	}
	if text, ok, err := r.params.take("cursor"); err != nil {
		return o, err
	} else if ok {
		if o.After, err = api.ParseCursor(text, prefix); err != nil {
			return o, err
		}
	}
	return o, r.params.done()
}

// snapshot opens a snapshot for the request. What is read of it may be shown while the pass holds.
func (r *request) snapshot(o *api.List) (*kv.Snapshot, auth.Pass, error) {
	snap, pass, err := r.view().Snapshot(r.deadline(), o.Prefix, o.Local)
	if !o.Local {
		err = api.ReadError(err)
	}
	return snap, pass, err
}

// streamList answers with every entry of one snapshot, which it closes, as
// lines of JSON; the position is the last line. A body that ends without it was
// cut off.
func (r *request) streamList(o *api.List, snap *kv.Snapshot, pass auth.Pass) {
	r.f.Response.Header.SetContentTypeBytes(typeNDJSON)
	if r.method == methodHead {
		// Fasthttp ends even a stream that it does not send, by an empty line.
		r.f.Response.Header.SetContentLength(-1)
		snap.Close()
		return
	}
	l := &listReader{opts: *o, life: r.s.life, own: r.account(), snap: snap, pass: pass, now: r.s.door.Now()}
	l.next, l.stop = iter.Pull2(snap.Scan(o.Prefix, ""))
	r.f.Response.SetBodyStream(l, -1)
}

// A listReader produces the lines of a list as they are sent.
type listReader struct {
	opts api.List
	life context.Context
	// own is what the lines are charged to; nil if they are not.
	own  *conn
	snap *kv.Snapshot
	pass auth.Pass
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
	if l.buf, l.sent = l.buf[:0], 0; cap(l.buf) > keepOut {
		l.buf = nil
		_ = l.room(0)
	}
	for len(l.buf) < linesAhead && !l.done {
		key, e, ok := l.next()
		if ok {
			if err := l.line(key, e); err != nil {
				return err
			}
			continue
		}
		l.done = true
		l.buf = append(api.AppendPosition(append(l.buf, '{'), l.snap.Position()), '}', '\n')
	}
	return cmp.Or(l.snap.Err(), l.pass.Still())
}

func (l *listReader) room(n int) error { return l.own.answer(n) }

// line appends the line of one entry.
func (l *listReader) line(key string, e *kv.Entry) (err error) {
	if l.buf, err = api.Room(l.room).Entry(l.buf, key, e.Size()); err != nil {
		return err
	}
	if e, err = l.opts.Resolve(l.life, l.snap, key, e); err != nil {
		return err
	}
	l.buf = append(api.AppendEntry(l.buf, key, e, l.now, !l.opts.KeysOnly), '\n')
	return api.Room(l.room).Took(l.buf)
}

// Close implements io.Closer; the server calls it when the answer was sent or
// cannot be.
func (l *listReader) Close() error {
	l.stop()
	l.snap.Close()
	return nil
}
