package web

import (
	"time"

	"keywatch/kv"
	"keywatch/ratelimit"
	"keywatch/web/api"
)

// A getOptions is what the query and head of a read ask for.
type getOptions struct {
	local bool
	// wait is how long to wait for a change from the version held; held is set
	// if the request names one.
	wait     time.Duration
	held     kv.Position
	hasHeld  bool
	wantJSON bool
}

// keyOffers are the forms that a key can be read in.
var keyOffers = []string{mediaBytes, mediaJSON, mediaSSE}

// get answers GET and HEAD of a key.
func (r *request) get() error {
	form, err := r.negotiate(keyOffers...)
	if err != nil {
		return err
	}
	if form == 2 && r.method == methodGet {
		return r.watchKey()
	}
	opts := getOptions{wantJSON: form == 1}
	if err := r.getOptions(&opts); err != nil {
		return err
	}
	if err := r.charge(ratelimit.Read, 1); err != nil {
		return err
	}
	e, at, err := r.read(opts.local)
	if err != nil {
		return err
	}
	if opts.wait > 0 && opts.unchanged(e, at) {
		if e, at, err = r.await(&opts, at); err != nil {
			return err
		}
	}
	r.position(at)
	switch {
	case e == nil:
		return api.NoKey(r.key)
	case opts.hasHeld && opts.holds(e, at):
		r.etag(at.Epoch, e.Mod)
		r.f.Response.SetStatusCode(304)
		return nil
	}
	return r.show(e, at, opts.wantJSON)
}

// getOptions reads the conditions and parameters of a read.
func (r *request) getOptions(o *getOptions) error {
	if err := r.unconditional(fieldIfMatch, fieldIfFence); err != nil {
		return err
	}
	if r.head.has(fieldIfNoneMatch) {
		o.held, o.hasHeld = api.ParseETag(borrow(r.head.get(fieldIfNoneMatch)))
		if !o.hasHeld {
			return api.Refuse(api.CodeBadCondition, `If-None-Match: expected one ETag as the server sent it, such as "7f3a9c21-2" with its quotes`)
		}
	}
	if len(r.query) == 0 {
		return nil
	}
	var err error
	if o.local, err = r.consistency(); err != nil {
		return err
	}
	text, ok, err := r.params.take("wait")
	if err != nil {
		return err
	}
	if ok {
		if o.wait, ok = api.ParseDuration(text); !ok || o.wait > api.MaxWait {
			return api.Refuse(api.CodeBadDuration, "wait: expected a duration of at most %v, got %.80q", api.MaxWait, text)
		}
	}
	return r.params.done()
}

// consistency takes the parameter consistency and reports whether it is local.
func (r *request) consistency() (bool, error) {
	text, ok, err := r.params.take("consistency")
	if err != nil || !ok || text == api.Linearizable {
		return false, err
	}
	if text != api.Local {
		return false, api.Refuse(api.CodeBadParameter, "consistency: expected linearizable or local, got %.80q", text)
	}
	r.number(nameLag, uint64(max(0, r.s.opts.Lag().Milliseconds())))
	return true, nil
}

// holds reports whether e is the version that the caller names.
func (o *getOptions) holds(e *kv.Entry, at kv.Position) bool {
	return o.held == kv.Position{Epoch: at.Epoch, Rev: e.Mod}
}

// unchanged reports whether a wait is to go on: the version held is still
// there or, without one, the key is still absent.
func (o *getOptions) unchanged(e *kv.Entry, at kv.Position) bool {
	if o.hasHeld {
		return e != nil && o.holds(e, at)
	}
	return e == nil
}

// read returns the newest version of the key, nil if it is absent.
func (r *request) read(local bool) (*kv.Entry, kv.Position, error) {
	switch {
	case r.after != nil:
		return r.readAfter()
	case r.prompt && !local:
		return r.view().GetNow(r.key)
	}
	e, at, err := r.view().Get(r.deadline(), r.key, local, r.mayFetch)
	if local {
		return e, at, api.ColdError(err)
	}
	return e, at, api.ReadError(err)
}

// show answers with a version. Its value is charged: it stays in memory until it is
// sent.
func (r *request) show(e *kv.Entry, at kv.Position, asJSON bool) (err error) {
	if asJSON {
		r.out, err = api.Room(r.room).Entry(r.out[:0], r.key, e.Size())
	} else if e.Size() > api.FreeBytes {
		err = r.room(e.Size())
	}
	if err != nil {
		return err
	}
	resp := &r.f.Response
	r.etag(at.Epoch, e.Mod)
	r.number(nameVersion, e.Version)
	r.number(nameCreateRev, uint64(e.Create))
	r.header(nameTier, tierNames[e.Tier()])
	if id := e.Lease(); id != (kv.LeaseID{}) {
		r.header(nameLease, id.AppendTo(nil))
	}
	var now int64
	if e.Deadline() != 0 {
		now = r.s.door.Now()
		r.number(nameTTL, uint64(e.TTL(now)))
	}
	if asJSON {
		r.out = api.AppendEntry(r.out[:0], r.key, e, now, true)
		r.json(200)
		return nil
	}
	r.header(nameCSP, valueSandbox)
	resp.Header.SetContentTypeBytes(typeBytes)
	// An entry never changes, so its bytes are sent from where they are.
	resp.SetBodyRaw(lend(e.Value()))
	return nil
}
