package web

import (
	"runtime/debug"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvjson"
	"keywatch/ratelimit"
	"keywatch/web/api"
	"keywatch/web/wire"
)

// run runs one command, and answers it or has it answered later.
func (l *lane) run(text []byte) {
	var id uint64
	l.guard(&id, func() error {
		c, err := parseCommand(text, l.s.server.opts.Store.Limits().Ops)
		id = c.id
		l.s.server.sockets.count(c.op)
		if err != nil {
			return err
		}
		return c.op.run(l, c)
	})
}

// guard runs do, and answers with what it fails with.
func (l *lane) guard(id *uint64, do func() error) {
	before, answered := len(l.out), l.answered
	defer func() {
		if p := recover(); p != nil {
			l.s.server.opts.Logger.Error("command panicked", "panic", p, "stack", string(debug.Stack()))
			l.out, l.answered = l.out[:before], answered
			l.refuse(*id, &api.Failure{Code: api.CodeInternal, Detail: "internal error"})
		}
	}()
	if err := do(); err != nil {
		l.out, l.answered = l.out[:before], answered
		l.refuse(*id, api.FailureOf(err))
	}
}

// refuse answers with an error; without an id if that is not known.
func (l *lane) refuse(id uint64, f *api.Failure) {
	server := l.s.server
	server.metrics.refuse(f.Code)
	if f.Code.Status() == 500 {
		server.opts.Logger.Error("command failed", "err", f)
	}
	l.mark()
	l.out = append(l.out, '{')
	if id != 0 {
		l.out = append(kvjson.AppendNumber(l.out, "id", id), ',')
	}
	l.out = api.AppendProblem(append(l.out, `"error":`...), f, server.opts.Store.Now)
	if status := f.Code.Status(); status == 429 || status == 503 {
		l.out = append(l.out[:len(l.out)-1], ',')
		retry := max(f.Retry, time.Second)
		l.out = append(kvjson.AppendNumber(l.out, "retry_ms", uint64(retry.Milliseconds())), '}')
	}
	l.end(l.out)
}

// mark begins a frame.
func (l *lane) mark() {
	l.start = len(l.out)
	l.out = append(l.out, make([]byte, wire.Reserve)...)
}

// begin begins a good answer: what is appended to it continues an object. The
// next call is end.
func (l *lane) begin(id uint64) []byte {
	l.mark()
	return append(kvjson.AppendNumber(append(l.out, '{'), "id", id), `,"ok":true`...)
}

// end ends the answer.
func (l *lane) end(b []byte) {
	l.out = wire.Finish(append(b, '}'), l.start, wire.Text)
	l.answered++
}

// durability says what a write has reached, and whether its result was kept
// from an earlier one.
func (l *lane) durability(b []byte, r *kv.Result) []byte {
	b = append(b, `,"durability":"`...)
	b = append(append(b, l.s.server.durability...), '"')
	if r.Replayed {
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
func (l *lane) charge(class ratelimit.Class, cost int) error {
	s := l.s
	limiter := s.server.opts.Limiter
	if limiter == nil || s.exempt {
		return nil
	}
	var name [64]byte
	d := limiter.Allow(borrow(s.caller.appendTo(name[:0])), class, cost)
	if d.Limit == 0 || d.OK {
		return nil
	}
	return api.RateLimited(d, class)
}

// write begins a write. It is answered by finish, in its turn.
func (l *lane) write(c *socketCommand, cost int, finish func(*lane, uint64, *kv.Command, *kv.Result) error) error {
	w := socketWrite{id: c.id, finish: finish, command: &c.cmd, batch: c.op.name == "batch", ctx: l.patience()}
	if w.err = l.identify(c); w.err == nil {
		class := ratelimit.Write
		if c.cmd.ReadOnly() {
			class = ratelimit.Read
		}
		w.err = l.charge(class, cost)
	}
	if w.err == nil {
		var err error
		if w.pending, err = l.s.server.opts.Store.Begin(w.ctx, &c.cmd); err != nil {
			w.err = api.WithLimit(err, l.s.server.opts.Store.Limits())
		}
	}
	l.writes = append(l.writes, w)
	return nil
}

// identify makes the command repeatable, if it has an idempotency key.
func (l *lane) identify(c *socketCommand) error {
	if !c.has(hasIdemKey) {
		return nil
	}
	if err := api.CheckIdemKey("idempotency_key", c.idemKey); err != nil {
		return err
	}
	c.cmd.Idem = kv.Idem{Caller: string(l.s.caller.appendTo(nil)), Key: c.idemKey, Fingerprint: c.fingerprint()}
	return nil
}
