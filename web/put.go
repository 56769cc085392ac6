package web

import (
	"errors"
	"log/slog"
	"strings"

	"keywatch/kv"
	"keywatch/ratelimit"
	"keywatch/web/api"
)

// write returns a command with what any write may carry, and checks what holds
// for all. The key stops sharing memory with the request, in case that a log
// gives up on a command which it still holds.
func (r *request) write() (c kv.Command, err error) {
	r.key = strings.Clone(r.key)
	if err := r.encoding(); err != nil {
		return c, err
	}
	if err := r.unconditional(fieldIfUnmodifiedSince); err != nil {
		return c, err
	}
	if c.Fences, err = r.fences(); err != nil {
		return c, err
	}
	c.Idem, err = r.idem()
	return c, err
}

// encoding refuses bodies that are compressed.
func (r *request) encoding() error {
	coding := r.head.get(fieldContentEncoding)
	if r.head.has(fieldContentEncoding) && string(coding) != "identity" {
		return api.Refuse(api.CodeEncodingNotSupported, "Content-Encoding %.40q is not supported: send the body as it is", coding)
	}
	return nil
}

// put answers PUT of a key.
func (r *request) put() (err error) {
	c := &r.command
	if *c, err = r.write(); err != nil {
		return err
	}
	if c.Checks, err = r.checks(nil); err != nil {
		return err
	}
	r.op[0] = kv.Op{Kind: kv.OpPut, Key: r.key, Value: r.body()}
	if err := r.putParams(&r.op[0]); err != nil {
		return err
	}
	c.Ops = r.op[:]
	return r.runWrite(c)
}

// putParams reads the query of a put.
func (r *request) putParams(op *kv.Op) error {
	if len(r.query) == 0 {
		return nil
	}
	text, ok, err := r.params.take("ttl")
	if err != nil {
		return err
	}
	if ok {
		if op.TTL, err = api.ParseTTL(text); err != nil {
			return err
		}
	}
	lease, hasLease, err := r.params.take("lease")
	if err != nil {
		return err
	}
	if hasLease {
		if op.Lease, err = api.NamedLease(lease); err != nil {
			return err
		}
	}
	return r.params.done()
}

// delete answers DELETE of a key.
func (r *request) delete() error {
	c, err := r.write()
	if err != nil {
		return err
	}
	if err := r.unconditional(fieldIfNoneMatch); err != nil {
		return err
	}
	if err := r.params.done(); err != nil {
		return err
	}
	if c.Checks, err = r.checks(nil); err != nil {
		return err
	}
	op := [1]kv.Op{{Kind: kv.OpDelete, Key: r.key}}
	c.Ops = op[:]
	return r.runWrite(&c)
}

// runWrite runs a command of one operation and answers for it.
func (r *request) runWrite(c *kv.Command) error { return r.doThen(c, 1, (*request).wrote) }

// wrote answers for a command of one operation that ran.
func (r *request) wrote(c *kv.Command, result *kv.Result) error {
	e := result.Ops[0].Entry
	switch {
	case c.Ops[0].Kind == kv.OpPut:
		r.showPut(e, result.At.Epoch)
	case e == nil:
		return api.NoKey(r.key)
	default:
		r.f.Response.SetStatusCode(204)
	}
	return nil
}

// showPut answers for a put that ran.
func (r *request) showPut(e *kv.Entry, epoch kv.Epoch) {
	r.etag(epoch, e.Mod)
	r.out = api.AppendPutResult(append(r.out[:0], '{'), e)
	r.out = append(r.out, '}')
	if e.Version == 1 {
		r.json(201)
		return
	}
	r.json(200)
}

// do charges and runs a command, and settles its result.
func (r *request) do(c *kv.Command, cost int) (kv.Result, error) {
	class := ratelimit.Write
	if c.ReadOnly() {
		class = ratelimit.Read
	}
	if err := r.charge(class, cost); err != nil {
		return kv.Result{}, err
	}
	c.Span = r.span
	result, err := r.view().Do(r.deadline(), c)
	if err != nil {
		if class == ratelimit.Read {
			err = api.ReadError(err)
		}
		return result, api.WithLimit(err, r.s.door.Limits())
	}
	return result, r.settle(c, &result)
}

// errBegun is what a prompt request returns whose write is under way.
var errBegun = errors.New("the write is under way")

// doThen is do with then for the result. A prompt request does not wait for it: see resume.
func (r *request) doThen(c *kv.Command, cost int, then func(*request, *kv.Command, *kv.Result) error) error {
	if !r.prompt {
		result, err := r.do(c, cost)
		if err != nil {
			return err
		}
		return then(r, c, &result)
	}
	if c.ReadOnly() {
		return kv.ErrWouldWait
	}
	if err := r.charge(ratelimit.Write, cost); err != nil {
		return err
	}
	c.Span = r.span
	begun, err := r.view().StartNow(c)
	if err == kv.ErrWouldWait {
		return err
	}
	if err != nil {
		return api.WithLimit(err, r.s.door.Limits())
	}
	r.begun, r.then = begun, then
	return errBegun
}

// resume answers for a write that was under way, with what it came to.
func (r *request) resume(result kv.Result, err error) error {
	if err != nil {
		return api.WithLimit(err, r.s.door.Limits())
	}
	if err := r.settle(r.begun.Command(), &result); err != nil {
		return err
	}
	return r.then(r, r.begun.Command(), &result)
}

// settle sets the headers of a result, and turns the outcomes that are answered
// with a problem into failures.
func (r *request) settle(c *kv.Command, result *kv.Result) error {
	if result.At.Epoch != 0 || result.At.Rev != 0 {
		r.position(result.At)
	}
	if !c.ReadOnly() {
		r.header(nameDurability, r.s.team.now().durability)
	}
	if result.Replayed {
		r.header(nameReplayed, valueTrue)
	}
	if r.span != nil && result.Rev != 0 {
		r.span.Set(slog.Uint64("keywatch.rev", uint64(result.Rev)))
	}
	return api.Outcome(c, result, r.s.door.Params, r.route == routeBatch)
}
