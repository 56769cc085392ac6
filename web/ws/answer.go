package ws

import (
	"runtime/debug"
	"time"
	"unsafe"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/kv/kvjson"
	"keywatch/ratelimit"
	"keywatch/web/api"
	"keywatch/web/wire"
)

// run runs one command, and answers it or has it answered later.
func (r *runner) run(text []byte) {
	var id uint64
	writes := len(r.writes)
	defer func() {
		size := len(text) + commandCost
		if len(r.writes) > writes { // until it is answered
			r.writes[writes].size = size
		} else {
			r.done += size
		}
	}()
	r.guard(&id, func() error {
		c, err := parseCommand(text, r.s.server.opts.Door.Limits().Ops)
		id = c.id
		r.s.server.count(c.op)
		if err != nil {
			return err
		}
		if r.s.gone.Load() && !c.outlives() {
			r.answered++ // the client has left
			return nil
		}
		return r.noted(c, r.runCommand(c))
	})
}

// noted returns what a command fails with, and has it written down if that is a denial.
func (r *runner) noted(c *command, err error) error {
	if f := api.Denied(err); f != nil {
		target := c.key
		if target == "" {
			target = c.lock.name
		}
		r.s.server.opts.Denied(api.Denial{
			Who: r.s.who.Load(), Address: r.s.caller.addr().String(), Operation: "WebSocket " + c.op.name, Target: target, Failure: f,
		})
	}
	return err
}

func (r *runner) runCommand(c *command) error {
	if r.s.unproved.Load() && c.op.name != "auth" {
		return &auth.FailedError{Reason: auth.Missing}
	}
	if r.s.server.opts.Tracer != nil {
		return r.runTraced(c)
	}
	return c.op.run(r, c)
}

// guard runs do, and answers with what it fails with.
func (r *runner) guard(id *uint64, do func() error) {
	before, answered := len(r.out), r.answered
	defer func() {
		if p := recover(); p != nil {
			r.s.server.opts.Logger.Error("command panicked", "panic", p, "stack", string(debug.Stack()))
			r.out, r.answered = r.out[:before], answered
			r.refuse(*id, &api.Failure{Code: api.CodeInternal, Detail: "internal error"})
		}
	}()
	if err := do(); err != nil {
		r.out, r.answered = r.out[:before], answered
		r.refuse(*id, api.FailureOf(err))
	}
}

// refuse answers with an error; without an id if that is not known.
func (r *runner) refuse(id uint64, f *api.Failure) {
	server := r.s.server
	server.opts.Refused(f.Code)
	if f.Code.Status() == 500 {
		server.opts.Logger.Error("command failed", "err", f)
	}
	r.mark()
	r.out = append(r.out, '{')
	if id != 0 {
		r.out = append(kvjson.AppendNumber(r.out, "id", id), ',')
	}
	r.out = api.AppendProblem(append(r.out, `"error":`...), f, server.opts.Door.Now)
	if status := f.Code.Status(); status == 429 || status == 503 {
		r.out = append(r.out[:len(r.out)-1], ',')
		retry := max(f.Retry, time.Second)
		r.out = append(kvjson.AppendNumber(r.out, "retry_ms", uint64(retry.Milliseconds())), '}')
	}
	r.end(r.out)
}

// mark begins a frame.
func (r *runner) mark() {
	r.start = len(r.out)
	r.out = append(r.out, make([]byte, wire.Reserve)...)
}

// begin begins a good answer: what is appended to it continues an object. The
// next call is end.
func (r *runner) begin(id uint64) []byte {
	r.mark()
	return append(kvjson.AppendNumber(append(r.out, '{'), "id", id), `,"ok":true`...)
}

// end ends the answer.
func (r *runner) end(b []byte) {
	r.out = wire.Finish(append(b, '}'), r.start, wire.Text)
	r.answered++
}

// durability says what a write has reached, and whether its result was kept
// from an earlier one.
func (r *runner) durability(b []byte, result *kv.Result) []byte {
	b = append(b, `,"durability":"`...)
	b = append(append(b, r.s.server.opts.Durability()...), '"')
	if result.Replayed {
		b = append(b, `,"replayed":true`...)
	}
	return b
}

// appendAt appends the tag of a version, and the position of the answer.
func appendAt(b []byte, rev kv.Rev, at kv.Position) []byte {
	b = append(b, `,"etag":"\"`...)
	b = kv.Position{Epoch: at.Epoch, Rev: rev}.AppendTo(b)
	return api.AppendPosition(append(b, `\"",`...), at)
}

// appendOK appends the frame that says that a command was done.
func appendOK(b []byte, id uint64) []byte {
	start := len(b)
	b = append(b, make([]byte, wire.Reserve)...)
	b = append(kvjson.AppendNumber(append(b, '{'), "id", id), `,"ok":true}`...)
	return wire.Finish(b, start, wire.Text)
}

// charge counts a command against its caller's rate.
func (r *runner) charge(class ratelimit.Class, cost int) error {
	s := r.s
	limiter := s.server.opts.Limiter
	if limiter == nil || s.exempt {
		return nil
	}
	var name [64]byte
	caller := s.caller.appendTo(name[:0])
	d := limiter.Allow(unsafe.String(&caller[0], len(caller)), class, cost)
	if d.Limit == 0 || d.OK {
		return nil
	}
	return api.RateLimited(d, class)
}

// write begins a write. It is answered by finish, in its turn.
func (r *runner) write(c *command, cost int, finish func(*runner, uint64, *kv.Command, *kv.Result) error) error {
	w := write{id: c.id, finish: finish, command: &c.cmd, batch: c.op.name == "batch", ctx: r.deadline(c)}
	if w.err = r.identify(c); w.err == nil {
		class := ratelimit.Write
		if c.cmd.ReadOnly() {
			class = ratelimit.Read
		}
		w.err = r.charge(class, cost)
	}
	if w.err == nil {
		var err error
		if w.pending, err = r.s.view().Begin(w.ctx, &c.cmd); err != nil {
			w.err = api.WithLimit(r.noted(c, err), r.s.server.opts.Door.Limits())
		}
	}
	r.writes = append(r.writes, w)
	return nil
}

// identify makes the command repeatable, if it has an idempotency key.
func (r *runner) identify(c *command) error {
	if !c.has(hasIdemKey) {
		return nil
	}
	if err := api.CheckIdemKey("idempotency_key", c.idemKey); err != nil {
		return err
	}
	c.cmd.Idem = kv.Idem{Scope: r.s.view().User(), Caller: r.callerName(), Key: c.idemKey, Fingerprint: c.fingerprint()}
	return nil
}
