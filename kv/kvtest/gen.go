package kvtest

import (
	"crypto/sha256"
	"strings"
	"time"

	"pgregory.net/rapid"

	"keywatch/kv"
)

// Keys are the keys that random commands use: few, so that they meet, nested,
// and two of them locks.
var Keys = []string{"a", "a/b", "a/b/c", "a0", "b", "b/c", "locks/l", "locks/m", "é", "zz"}

var locks = []string{"l", "m"}

// SmallParams are bounds so small that random commands reach them.
var SmallParams = kv.Params{
	TombstoneMax: 4, TombstoneAge: 120 * time.Millisecond,
	IdemAge: 60 * time.Millisecond, IdemMax: 8, IdemPerCaller: 5, IdemBytes: 1 << 20,
	DeleteMax: 3, ExpireMax: 2,
	LeaseMax: 4, LeasePerCaller: 3, LeaseKeys: 2,
}

// A Generator draws random entries that fit the state of a model.
type Generator struct {
	model *Model
	// asked holds the commands with an idempotency key drawn so far.
	asked []*kv.Command
	// drawn counts the names of leases drawn.
	drawn int
	// objects holds what is in segments, segments counts them, moved holds the
	// references drawn so far.
	objects  map[kv.Place]string
	segments uint64
	moved    []movedValue
}

// NewGenerator returns a generator for m.
func NewGenerator(m *Model) *Generator {
	return &Generator{model: m, objects: make(map[kv.Place]string)}
}

// Steps draws an entry of up to four commands.
func (g *Generator) Steps(t *rapid.T) (steps []Step) {
	for range rapid.IntRange(0, 4).Draw(t, "commands") {
		steps = append(steps, Step{Command: g.Command(t)})
	}
	return steps
}

// Command draws a command.
func (g *Generator) Command(t *rapid.T) *kv.Command {
	if len(g.asked) > 0 && chance(t, 15, "again") {
		c := *rapid.SampledFrom(g.asked).Draw(t, "asked")
		if chance(t, 25, "mismatch") {
			c.Idem.Fingerprint[0]++
		}
		c.Auth = g.auth(t)
		return &c
	}
	if chance(t, 8, "private") {
		return g.Private(t)
	}
	c := &kv.Command{Fences: g.fences(t)}
	if chance(t, 35, "lease or lock") {
		g.lease(t, c)
	} else if chance(t, 10, "prefix") {
		prefix := rapid.SampledFrom([]string{"", "a", "a/", "b/", "l", "nothing"}).Draw(t, "prefix text")
		c.Prefix = &prefix
	} else {
		g.batch(t, c)
	}
	if chance(t, 25, "idem") {
		g.identify(t, c)
	}
	c.Auth = g.auth(t)
	return c
}

func (g *Generator) batch(t *rapid.T, c *kv.Command) {
	if chance(t, 20, "reads") {
		key := rapid.SampledFrom(Keys).Draw(t, "read key")
		read := kv.Read{Key: key}
		if it := g.model.Get(key); it != nil && chance(t, 80, "read rev") {
			read.Rev = it.Mod
		}
		c.Reads = []kv.Read{read}
	}
	if chance(t, 35, "parts") {
		g.parts(t, c)
		return
	}
	c.Ops = g.ops(t, true)
	for range rapid.SampledFrom([]int{0, 0, 1, 1, 2}).Draw(t, "checks") {
		c.Checks = append(c.Checks, g.check(t))
	}
	if chance(t, 30, "else") {
		c.HasElse, c.Else = true, g.ops(t, true)
	}
}

// parts draws a command of parts.
func (g *Generator) parts(t *rapid.T, c *kv.Command) {
	if chance(t, 30, "check") {
		c.Checks = []kv.Check{g.check(t)}
	}
	for range rapid.IntRange(1, 5).Draw(t, "parts") {
		p := kv.Part{Ops: g.ops(t, false)}
		if chance(t, 40, "checked part") {
			p.Checks = []kv.Check{g.check(t)}
		}
		if chance(t, 40, "else of a part") {
			p.HasElse, p.Else = true, g.ops(t, false)
		}
		c.Parts = append(c.Parts, p)
	}
}

func (g *Generator) identify(t *rapid.T, c *kv.Command) {
	sum := sha256.Sum256(kv.EncodeEntry(0, c))
	c.Idem = kv.Idem{
		Caller: rapid.SampledFrom([]string{"", "ann", "bob"}).Draw(t, "caller"),
		Key:    rapid.StringMatching(`[a-z0-9]{2}`).Draw(t, "idem key"),
	}
	if rapid.Bool().Draw(t, "own scope") {
		c.Idem.Scope = c.Idem.Caller
	}
	copy(c.Idem.Fingerprint[:], sum[:])
	g.asked = append(g.asked, c)
}

func (g *Generator) fences(t *rapid.T) (fences []kv.Fence) {
	if !chance(t, 15, "fenced") {
		return nil
	}
	f := kv.Fence{Lock: rapid.SampledFrom(locks).Draw(t, "lock"), Token: 1}
	if it := g.model.Get(kv.ReservedPrefix + f.Lock); it != nil && chance(t, 70, "token") {
		f.Token = it.Create
	}
	return []kv.Fence{f}
}

func (g *Generator) check(t *rapid.T) kv.Check {
	k := kv.Check{
		Kind: kv.CheckKind(rapid.IntRange(int(kv.CheckRev), int(kv.CheckUnchanged)).Draw(t, "check")),
		Key:  rapid.SampledFrom(Keys).Draw(t, "check key"),
	}
	it := g.model.Get(k.Key)
	hit := chance(t, 70, "hit")
	if k.Kind == kv.CheckUnchanged {
		k.N = rapid.Uint64Range(0, uint64(g.model.Rev)).Draw(t, "since")
		if newest, ok := g.model.newest[k.Key]; ok && hit {
			k.N = uint64(newest.Mod)
		}
		return k
	}
	if k.Kind >= kv.CheckValue {
		k.Value = []byte("x")
		if it != nil && hit {
			k.Value = []byte(it.Value)
		}
		return k
	}
	if !hit {
		k.N = rapid.Uint64Range(0, 3).Draw(t, "n")
		if k.Kind == kv.CheckExists {
			k.N &= 1
		}
		return k
	}
	if it != nil {
		k.N = map[kv.CheckKind]uint64{
			kv.CheckRev: uint64(it.Mod), kv.CheckCreate: uint64(it.Create),
			kv.CheckVersion: it.Version, kv.CheckExists: 1,
		}[k.Kind]
	}
	return k
}

// ops draws operations; once says that they write each key at most once.
func (g *Generator) ops(t *rapid.T, once bool) (ops []kv.Op) {
	written := make(map[string]bool)
	for range rapid.IntRange(0, 4).Draw(t, "ops") {
		op := kv.Op{
			Kind: rapid.SampledFrom([]kv.OpKind{
				kv.OpPut, kv.OpPut, kv.OpPut, kv.OpDelete, kv.OpDelete, kv.OpGet, kv.OpAdd, kv.OpAddFloat, kv.OpTouch,
			}).Draw(t, "op"),
			Key: rapid.SampledFrom(Keys).Draw(t, "key"),
		}
		if once && op.Kind != kv.OpGet && written[op.Key] {
			continue
		}
		written[op.Key] = written[op.Key] || op.Kind != kv.OpGet
		g.fill(t, &op)
		ops = append(ops, op)
	}
	return ops
}

// longValues are so long that they need not be in memory.
var longValues = []string{strings.Repeat("long value ", 6) + "\x00\xff", strings.Repeat("another one ", 6)}

// fill draws what an operation needs beside its key.
func (g *Generator) fill(t *rapid.T, op *kv.Op) {
	switch op.Kind {
	case kv.OpPut:
		values := append([]string{"", "x", "7", "-9223372036854775808", "1.5"}, longValues...)
		op.Value = []byte(rapid.SampledFrom(values).Draw(t, "value"))
		if op.TTL = g.ttl(t); op.TTL == 0 && chance(t, 30, "deadline") {
			op.At = g.model.Time + int64(rapid.IntRange(1, 50).Draw(t, "at"))
		}
		if chance(t, 25, "leased") {
			op.Lease = g.someLease(t)
		} else {
			op.KeepLease = chance(t, 20, "keep lease")
		}
	case kv.OpAdd:
		op.By = rapid.SampledFrom([]int64{1, -1, 1 << 62, -1 << 63}).Draw(t, "by")
	case kv.OpAddFloat:
		op.Value = []byte(rapid.SampledFrom([]string{"0.1", "-3e2", "inf"}).Draw(t, "by"))
	case kv.OpTouch:
		if op.TTL = g.ttl(t); op.TTL == kv.KeepTTL {
			op.TTL = 0
		}
		op.When = kv.TouchWhen(rapid.SampledFrom([]int{0, 0, 0, 1, 2, 4, 8, 10}).Draw(t, "when"))
		if it := g.model.Get(op.Key); it != nil && len(it.Value) >= kv.SmallValue && chance(t, 80, "touched value") {
			op.Value = []byte(it.Value)
		}
	}
}

func (g *Generator) ttl(t *rapid.T) time.Duration {
	switch rapid.IntRange(0, 3).Draw(t, "ttl kind") {
	case 0:
		return kv.KeepTTL
	case 1:
		return time.Duration(rapid.IntRange(1000, 50_000).Draw(t, "ttl")) * time.Microsecond
	}
	return 0
}

// Setup draws a change of settings, now and then with a new epoch.
func (g *Generator) Setup(t *rapid.T) Step {
	u := kv.Setup{Params: SmallParams}
	u.Params.TombstoneMax = rapid.IntRange(1, 6).Draw(t, "tombstones")
	u.Params.ExpireMax = rapid.IntRange(1, 4).Draw(t, "expire")
	u.Params.LeaseMax = rapid.IntRange(2, 6).Draw(t, "leases")
	u.Params.LeasePerCaller = rapid.IntRange(1, 5).Draw(t, "leases per caller")
	if chance(t, 30, "epoch") {
		u.Epoch = kv.Epoch(rapid.Uint32Range(1, 1<<31).Draw(t, "epoch number"))
	}
	return Step{Setup: &u}
}

func chance(t *rapid.T, percent int, label string) bool {
	return rapid.IntRange(1, 100).Draw(t, label) > 100-percent
}

// Encode returns the log entry of steps at log time now.
func Encode(now int64, steps []Step) []byte {
	var b kv.EntryBuilder
	for _, st := range steps {
		if st.Setup != nil {
			b.AddSetup(*st.Setup)
		} else {
			b.Add(st.Command)
		}
	}
	return b.Finish(now)
}
