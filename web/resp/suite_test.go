package resp_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// What the protocols of HTTP promise must hold over this one too, as far as it can say it: each
// command is a transaction.
func TestConformance(t *testing.T) {
	kvtest.Suite(t, func(t *testing.T) kvtest.Store {
		w := newWorld(t)
		return &conformer{w: w, c: w.dial()}
	})
}

type conformer struct {
	w *world
	c *client
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errors.ErrUnsupported}, args...)...)
}

// words returns an operation as a command, and whether a KW.GET of the key is to follow.
func words(op *kv.Op) (cmd []string, look bool, err error) {
	switch op.Kind {
	case kv.OpGet:
		return []string{"KW.GET", op.Key}, false, nil
	case kv.OpDelete:
		return []string{"DEL", op.Key}, false, nil
	case kv.OpAdd:
		return []string{"INCRBY", op.Key, strconv.FormatInt(op.By, 10)}, true, nil
	case kv.OpTouch:
		if op.TTL == 0 {
			return []string{"PERSIST", op.Key}, true, nil
		}
		if op.TTL > kv.MaxTTL {
			return nil, false, unsupported("a TTL may be of any length")
		}
		return []string{"PEXPIRE", op.Key, strconv.FormatInt(op.TTL.Milliseconds(), 10)}, true, nil
	}
	cmd = []string{"SET", op.Key, string(op.Value)}
	switch {
	case op.Lease != kv.LeaseID{}:
		return nil, false, unsupported("SET names no lease")
	case op.TTL > kv.MaxTTL:
		return nil, false, unsupported("a TTL may be of any length")
	case op.TTL == kv.KeepTTL:
		cmd = append(cmd, "KEEPTTL")
	case op.TTL > 0:
		cmd = append(cmd, "PX", strconv.FormatInt(op.TTL.Milliseconds(), 10))
	}
	return cmd, true, nil
}

func checkWords(k *kv.Check) ([]string, error) {
	n := strconv.FormatUint(k.N, 10)
	switch k.Kind {
	case kv.CheckRev:
		return []string{"KW.CHECK", k.Key, "REV", n}, nil
	case kv.CheckCreate:
		return []string{"KW.CHECK", k.Key, "CREATE", n}, nil
	case kv.CheckVersion:
		return []string{"KW.CHECK", k.Key, "VERSION", n}, nil
	case kv.CheckValue:
		return []string{"KW.CHECK", k.Key, "VALUE", string(k.Value)}, nil
	case kv.CheckExists:
		return []string{"KW.CHECK", k.Key, map[uint64]string{0: "ABSENT", 1: "EXISTS"}[k.N]}, nil
	}
	return nil, unsupported("there is no such check")
}

// refusals are what the errors of commands stand for.
var refusals = map[string]error{
	"-ERR bad key": kv.ErrBadKey, "-NOPERM": kv.ErrReservedKey, "-ERR string exceeds": kv.ErrValueTooLarge,
	"-ERR too many commands": kv.ErrBatchTooLarge,
}

func refused(reply string) error {
	for text, err := range refusals {
		if strings.HasPrefix(reply, text) {
			return fmt.Errorf("%w: %s", err, reply)
		}
	}
	return nil
}

func (f *conformer) Do(ctx context.Context, c *kv.Command) (kvtest.Answer, error) {
	switch {
	case c.HasElse || c.Prefix != nil:
		return kvtest.Answer{}, unsupported("no else, no prefix")
	case len(c.Checks) == 1 && c.Checks[0].Kind == kv.CheckValueNot:
		return f.setIfNot(ctx, c)
	case f.sumFails(ctx, c):
		return kvtest.Answer{}, unsupported("a sum that fails does not keep others from running")
	}
	cmds, looks, err := transaction(c)
	if err != nil {
		return kvtest.Answer{}, err
	}
	conditions := len(cmds) - len(c.Ops)
	for _, look := range looks {
		if look {
			conditions--
		}
	}
	f.c.words("MULTI")
	for _, cmd := range cmds {
		if got := f.c.words(cmd...); got != "+QUEUED" {
			f.c.words("DISCARD")
			if err := refused(got); err != nil {
				return kvtest.Answer{}, err
			}
			return kvtest.Answer{}, errors.New(got)
		}
	}
	before := f.w.store.State().Position().Rev
	f.c.send(encode("EXEC"))
	kind, err := f.c.r.Peek(3)
	if err != nil {
		return kvtest.Answer{}, err
	}
	if kind[0] == '-' || string(kind[:2]) == "*-" {
		return f.failed(ctx, c, f.c.reply())
	}
	_, _ = f.c.r.ReadString('\n')
	return f.read(ctx, c, conditions, looks, before)
}

// setIfNot runs a put that depends on another value of its key.
func (f *conformer) setIfNot(ctx context.Context, c *kv.Command) (a kvtest.Answer, err error) {
	k := &c.Checks[0]
	if len(c.Ops) != 1 || c.Ops[0].Kind != kv.OpPut || c.Ops[0].Key != k.Key {
		return a, unsupported("such a check is a part of SET")
	}
	switch got := f.c.words("SET", k.Key, string(c.Ops[0].Value), "IFNE", string(k.Value)); got {
	case "+OK":
		return kvtest.Answer{Outcome: kv.Committed}, nil
	case "nil":
		a.Outcome = kv.CheckFailed
		a.Current, err = f.Get(ctx, k.Key)
		return a, err
	default:
		return a, errors.New(got)
	}
}

// sumFails reports whether c does something beside a sum that cannot be done.
func (f *conformer) sumFails(ctx context.Context, c *kv.Command) bool {
	values := make(map[string]string)
	for i := range c.Ops {
		op := &c.Ops[i]
		switch op.Kind {
		case kv.OpPut:
			values[op.Key] = string(op.Value)
		case kv.OpAdd:
			value, written := values[op.Key]
			if e, err := f.Get(ctx, op.Key); !written && err == nil {
				if value = "0"; e != nil {
					value = e.Value
				}
			}
			sum, why := kv.AddInteger(value, op.By)
			if values[op.Key] = sum; why != 0 && len(c.Ops) > 1 {
				return true
			}
		}
	}
	return false
}

// transaction returns what is queued for c, and after which operations the key is looked at.
func transaction(c *kv.Command) (cmds [][]string, looks []bool, err error) {
	if c.Idem.Key != "" {
		cmds = append(cmds, []string{"KW.IDEM", c.Idem.Key})
	}
	for i := range c.Checks {
		cmd, err := checkWords(&c.Checks[i])
		if err != nil {
			return nil, nil, err
		}
		cmds = append(cmds, cmd)
	}
	for _, k := range c.Fences {
		cmds = append(cmds, []string{"KW.FENCE", k.Lock, fmt.Sprint(k.Token)})
	}
	written := make(map[string]bool)
	for i := range c.Ops {
		op := &c.Ops[i]
		if op.Kind != kv.OpGet && written[op.Key] {
			return nil, nil, unsupported("a key may be written twice")
		}
		written[op.Key] = written[op.Key] || op.Kind != kv.OpGet
		cmd, look, err := words(op)
		if err != nil {
			return nil, nil, err
		}
		if cmds = append(cmds, cmd); look {
			cmds = append(cmds, []string{"KW.GET", op.Key})
		}
		looks = append(looks, look)
	}
	return cmds, looks, nil
}

// failed says which condition did not hold, as a client finds out.
func (f *conformer) failed(ctx context.Context, c *kv.Command, got string) (kvtest.Answer, error) {
	if strings.HasPrefix(got, "-FENCELOST") {
		return kvtest.Answer{Outcome: kv.FenceLost}, nil
	}
	if strings.HasPrefix(got, "-ERR idempotency_mismatch") {
		return kvtest.Answer{Outcome: kv.IdemMismatch}, nil
	}
	if got != "nil" {
		return kvtest.Answer{}, errors.New(got)
	}
	for i := range c.Checks {
		k := &c.Checks[i]
		found, err := f.Get(ctx, k.Key)
		if err != nil {
			return kvtest.Answer{}, err
		}
		if !holds(k, found) {
			return kvtest.Answer{Outcome: kv.CheckFailed, Failed: i, Current: found}, nil
		}
	}
	if c.Idem.Key != "" {
		return kvtest.Answer{Outcome: kv.CheckFailed, Replayed: true}, nil
	}
	return kvtest.Answer{}, errors.New("every check holds")
}

func holds(k *kv.Check, e *kvtest.Found) bool {
	switch {
	case k.Kind == kv.CheckExists:
		return (e != nil) == (k.N == 1)
	case e == nil:
		return k.N == 0 && k.Kind != kv.CheckValue
	case k.Kind == kv.CheckValue:
		return e.Value == string(k.Value)
	}
	return map[kv.CheckKind]uint64{kv.CheckRev: uint64(e.Rev), kv.CheckCreate: uint64(e.Create), kv.CheckVersion: e.Version}[k.Kind] == k.N
}

// read reads the replies of a transaction that ran.
func (f *conformer) read(_ context.Context, c *kv.Command, checks int, looks []bool, before kv.Rev) (a kvtest.Answer, err error) {
	a.Outcome = kv.Committed
	for range checks {
		f.c.reply()
	}
	for i, look := range looks {
		op := &c.Ops[i]
		if op.Kind == kv.OpGet {
			a.Ops = append(a.Ops, kvtest.OpAnswer{Found: f.entry(op.Key)})
			continue
		}
		got := f.c.reply()
		var did kvtest.OpAnswer
		if op.Kind == kv.OpDelete {
			did.Deleted = got == "1"
		}
		if err == nil {
			err = refused(got)
		}
		if look {
			e := f.entry(op.Key)
			switch {
			case strings.HasPrefix(got, "-ERR"):
				a = kvtest.Answer{Outcome: kv.OpFailed, Failed: i}
			case e != nil:
				did = kvtest.OpAnswer{Rev: e.Rev, Version: e.Version, Created: e.Version == 1}
				if op.Kind == kv.OpAdd {
					did.Sum = got
				}
			}
		}
		if a.Outcome == kv.Committed {
			a.Ops = append(a.Ops, did)
		}
	}
	if at := f.w.store.State().Position().Rev; at != before {
		a.Rev = at
		return a, err
	}
	for _, did := range a.Ops { // what has a revision has it from an earlier run
		if did.Rev != 0 && c.Idem.Key != "" {
			a.Rev, a.Replayed = did.Rev, true
		}
	}
	return a, err
}

// entry reads the reply of KW.GET.
func (f *conformer) entry(key string) *kvtest.Found {
	line, err := f.c.r.ReadString('\n')
	if err != nil {
		f.c.t.Fatal(err)
	}
	if line[0] != '*' {
		return nil
	}
	e := &kvtest.Found{Key: key}
	for range 7 {
		name, value := f.c.reply(), f.c.reply()
		n, _ := strconv.ParseUint(value, 10, 64)
		switch name {
		case `"value"`:
			e.Value, _ = strconv.Unquote(value)
		case `"rev"`:
			e.Rev = kv.Rev(n)
		case `"create_rev"`:
			e.Create = kv.Rev(n)
		case `"version"`:
			e.Version = n
		case `"ttl_ms"`:
			e.TTL = value != "-1"
		}
	}
	return e
}

func (f *conformer) Get(_ context.Context, key string) (*kvtest.Found, error) {
	f.c.send(encode("KW.GET", key))
	return f.entry(key), nil
}

func (f *conformer) List(ctx context.Context, prefix string) (all []kvtest.Found, err error) {
	f.c.send(encode("KEYS", strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`, `\`, `\\`).Replace(prefix)+"*"))
	line, err := f.c.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	var keys []string
	for range n {
		key, _ := strconv.Unquote(f.c.reply())
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		e, err := f.Get(ctx, key)
		if err != nil {
			return nil, err
		}
		all = append(all, *e)
	}
	return all, nil
}
