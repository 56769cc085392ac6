package resp

import (
	"context"

	"keywatch/kv"
	"keywatch/kv/trace"
	"keywatch/web/api"
	"keywatch/web/resp/wire"
)

// A call is one command that is being run.
type call struct {
	s     *session
	v     *Server
	cmd   *command
	args  [][]byte
	proto wire.Proto
	// now says that nothing may wait; waits is set where that is not possible. after says that the barrier of
	// what it reads is done.
	now, waits, after bool
	// reads are the versions that were read to make the plan; view, in a transaction, is what the
	// commands before have made of them.
	reads []kv.Read
	view  *view
	// at and offset are the times that the call counts from: see times.
	at, offset int64
	timed      bool
	span       *trace.Span // of the command, if it is sampled
	// room, if not nil, is for the operations of the plan.
	room []kv.Op
}

func (s *session) call(cmd *command, args [][]byte) *call {
	c := new(call)
	c.begin(s, cmd, args)
	c.times()
	return c
}

// begin makes c the call of a command by s.
func (c *call) begin(s *session, cmd *command, args [][]byte) {
	c.s, c.v, c.cmd, c.args, c.proto, c.span = s, s.server, cmd, args, s.proto, s.span
}

// times returns the log time that the call counts from, which is that of its first use, and what is
// added to log time to get the time of day. Most commands have no use for either.
func (c *call) times() (logTime, distance int64) {
	if !c.timed {
		c.at, c.offset = c.v.now()
		c.timed = true
	}
	return c.at, c.offset
}

// logTime returns the log time that the call counts from.
func (c *call) logTime() int64 {
	at, _ := c.times()
	return at
}

// distance returns what is added to log time to get the time of day.
func (c *call) distance() int64 {
	_, distance := c.times()
	return distance
}

// list returns the operations of a plan as a list, in the room that there is.
func (c *call) list(ops ...kv.Op) []kv.Op { return append(c.room, ops...) }

// key returns the i-th argument as a key.
func (c *call) key(i int) (string, error) {
	key := string(c.args[i])
	return key, kv.CheckKey(key)
}

// integer returns the i-th argument as a number.
func (c *call) integer(i int) (int64, error) {
	n, ok := kv.ParseInteger(string(c.args[i]))
	if !ok {
		return 0, errNotInteger
	}
	return n, nil
}

// A val is what a key is, for a command that is made from it.
type val struct {
	there    bool
	value    string
	deadline int64
	lease    kv.LeaseID
	rev      kv.Rev
}

// get returns what key is, with what the commands before in a transaction have made of it.
func (c *call) get(key string) (val, error) {
	if err := kv.CheckKey(key); err != nil {
		return val{}, err
	}
	if c.view != nil && c.view.wrote(key) {
		return c.simulate(key)
	}
	return c.stored(key)
}

// stored returns what key is in the store, and notes that the command is made from it.
func (c *call) stored(key string) (v val, err error) {
	e, err := c.look(key)
	if err != nil {
		return v, err
	}
	return c.readAs(key, e)
}

// readAs notes that the command is made from what key is.
func (c *call) readAs(key string, e *kv.Entry) (v val, err error) {
	if e != nil {
		v = val{true, e.Value(), e.Deadline(), e.Lease(), e.Mod}
	}
	for _, r := range c.reads {
		if r.Key == key {
			if r.Rev != v.rev {
				return v, errContended
			}
			return v, nil
		}
	}
	c.reads = append(c.reads, kv.Read{Key: key, Rev: v.rev})
	return v, nil
}

// deadline returns what the call waits for the log, and reads values, under.
func (c *call) deadline() context.Context { return trace.With(c.v.deadline(), c.span) }

// look returns the newest version of key with its value. If that takes a wait it fails, where
// the call must not.
func (c *call) look(key string) (e *kv.Entry, err error) {
	if !c.now {
		e, _, err = c.s.view().Get(c.deadline(), key, false, nil)
		return e, api.ReadError(err)
	}
	if e, err = c.s.getNow(key); err == kv.ErrWouldWait {
		c.waits = true
	}
	return e, err
}

// carry is look for a command that takes along what a key is, and shows nothing of it.
func (c *call) carry(key string) (e *kv.Entry, err error) {
	store := c.v.opts.Door.Server()
	if !c.now {
		e, _, err = store.Get(c.deadline(), key)
		return e, api.ReadError(err)
	}
	if !c.s.fresh {
		e, _, err = store.GetNow(key)
	} else if err = c.s.barrier.Err(); err == nil {
		e, _, err = store.State().ReadNow(key)
	}
	c.waits = c.waits || err == kv.ErrWouldWait
	return e, err
}

// A plan is what a command comes to: a part of a command of the store, and how its result is
// rendered; or, without operations, text.
type plan struct {
	checks         []kv.Check
	ops, otherwise []kv.Op
	hasElse        bool
	// fences and idem are for the whole transaction.
	fences []kv.Fence
	whole  []kv.Check
	idem   string
	text   []byte
	render func(b []byte, c *call, r *kv.PartResult) []byte
	// value says that it is a get of one key whose value is the reply, meta that no value is
	// shown.
	value, meta bool
}

func (p *plan) constant() bool {
	return len(p.ops) == 0 && !p.hasElse && len(p.checks) == 0
}

func (p *plan) writes() bool {
	for _, ops := range [2][]kv.Op{p.ops, p.otherwise} {
		for i := range ops {
			if ops[i].Kind != kv.OpGet {
				return true
			}
		}
	}
	return false
}

// command makes k the plan as a command of its own.
func (p *plan) command(k *kv.Command, c *call) {
	k.Checks, k.Ops, k.Else, k.HasElse, k.Reads, k.Span = p.checks, p.ops, p.otherwise, p.hasElse, c.reads, c.span
}

// part returns the plan as a part of a transaction.
func (p *plan) part() kv.Part {
	return kv.Part{Checks: p.checks, Ops: p.ops, Else: p.otherwise, HasElse: p.hasElse}
}

// renderPart renders what became of a part.
func (c *call) renderPart(b []byte, r *kv.PartResult, why kv.OpError, render func([]byte, *call, *kv.PartResult) []byte) []byte {
	for i := range r.Ops {
		if r.Ops[i].Why != 0 {
			why = r.Ops[i].Why
		}
	}
	text := ""
	switch {
	case why != 0:
		text = c.sumError(why)
	case r.Outcome == kv.Stale:
		text = string(errContended)
	case r.Outcome == kv.AuthMoved:
		text = string(errMoved)
	case r.Outcome == kv.LeaseEnded:
		text = "LEASEENDED the lease does not exist or has expired"
	case r.Outcome == kv.LeaseKeysFull:
		text = "ERR too many keys are attached to the lease"
	}
	if text != "" {
		c.v.failed.Inc()
		return wire.AppendError(b, text)
	}
	return render(b, c, r)
}

func (c *call) sumError(why kv.OpError) string {
	switch why {
	case kv.NotInteger:
		return string(errNotInteger)
	case kv.Overflow:
		return "ERR increment or decrement would overflow"
	case kv.NotFloat:
		return string(errNotFloat)
	case kv.NotFinite:
		return "ERR increment would produce NaN or Infinity"
	}
	return string(errContended)
}

// The commonest replies.
var (
	textOK     = []byte("+OK\r\n")
	textQueued = []byte("+QUEUED\r\n")
	textZero   = []byte(":0\r\n")
	textOne    = []byte(":1\r\n")
)

func renderOK(b []byte, _ *call, _ *kv.PartResult) []byte { return append(b, textOK...) }

// renderValue renders what the first operation, a get, has found.
func renderValue(b []byte, c *call, r *kv.PartResult) []byte {
	if len(r.Ops) == 0 {
		return c.proto.Nil(b)
	}
	return c.appendValue(b, &r.Ops[0])
}

func (c *call) appendValue(b []byte, did *kv.OpResult) []byte {
	switch {
	case did.Entry == nil || did.Entry.Deleted():
		return c.proto.Nil(b)
	case did.NoValue || did.Entry.Cold():
		return wire.AppendError(b, "ERR the value is larger than there is room for")
	}
	return wire.AppendBulk(b, did.Entry.Value())
}

// renderDone renders 1 if the operations ran, else 0.
func renderDone(b []byte, _ *call, r *kv.PartResult) []byte {
	if r.Outcome == kv.Committed {
		return append(b, textOne...)
	}
	return append(b, textZero...)
}

func text(b []byte) plan { return plan{text: b} }

func put(key string, value []byte) kv.Op { return kv.Op{Kind: kv.OpPut, Key: key, Value: value} }
func get(key string) kv.Op               { return kv.Op{Kind: kv.OpGet, Key: key} }
func del(key string) kv.Op               { return kv.Op{Kind: kv.OpDelete, Key: key} }

func exists(key string, n uint64) kv.Check { return kv.Check{Kind: kv.CheckExists, Key: key, N: n} }
