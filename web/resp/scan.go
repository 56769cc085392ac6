package resp

import (
	"cmp"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"

	"keywatch/auth"
	"keywatch/kv"
	"keywatch/web/api"
	"keywatch/web/resp/wire"
)

const (
	// keptCursors is how many cursors are remembered although their key may be gone.
	keptCursors = 4096
	// maxKeys is how many bytes of keys one reply shows at most.
	maxKeys = 64 << 20
	// maxCount is how many keys one SCAN looks at most.
	maxCount = 100_000
)

// cursors remembers the keys that cursors stand for.
type cursors struct {
	mu    sync.Mutex
	keys  map[uint64]string
	order []uint64
}

func (k *cursors) note(cursor uint64, key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		k.keys = make(map[uint64]string)
	}
	if _, known := k.keys[cursor]; !known {
		k.order = append(k.order, cursor)
	}
	k.keys[cursor] = key
	for len(k.order) > keptCursors {
		delete(k.keys, k.order[0])
		k.order = k.order[1:]
	}
}

func (k *cursors) key(cursor uint64) (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.keys[cursor]
	return key, ok
}

// snapshot opens the newest revision, of which only names that begin with prefix may be looked at. What
// that shows may be sent only if the pass still holds.
func (c *call) snapshot(prefix string) (*kv.Snapshot, auth.Pass, error) {
	prefix, _ = c.v.names.under(prefix)
	snap, pass, err := c.s.view().Snapshot(c.deadline(), prefix, c.after)
	return snap, pass, api.ReadError(err)
}

// A scan is what SCAN asks for.
type scan struct {
	after string
	match glob
	count int
	kind  string
}

func (c *call) parseScan() (q scan, err error) {
	q.match, q.count = "*", 10
	cursor, err := strconv.ParseUint(string(c.args[1]), 10, 64)
	if err != nil {
		return q, refusal("ERR invalid cursor")
	}
	for i := 2; i < len(c.args); i += 2 {
		if i+1 == len(c.args) {
			return q, errSyntax
		}
		switch upper(c.args[i]) {
		case "MATCH":
			q.match = glob(c.args[i+1])
		case "COUNT":
			n, err := c.integer(i + 1)
			if err != nil {
				return q, err
			}
			if n < 1 {
				return q, errSyntax
			}
			q.count = int(min(n, maxCount))
		case "TYPE":
			q.kind = upper(c.args[i+1])
		default:
			return q, errSyntax
		}
	}
	if cursor == 0 {
		return q, nil
	}
	var ok bool
	if q.after, ok = c.v.cursors.key(cursor); !ok {
		q.after, ok = c.v.opts.Door.Server().State().CursorKey(cursor)
	}
	if under, also := c.v.names.under(q.match.literal()); c.s.who.Load() != nil && q.after != also {
		ok = ok && strings.HasPrefix(q.after, under)
	}
	if !ok {
		return q, refusal("ERR invalid cursor") // whatever key it stands for
	}
	return q, nil
}

func runScan(c *call) ([]byte, error) {
	q, err := c.parseScan()
	if err != nil {
		return nil, err
	}
	snap, pass, err := c.snapshot(q.match.literal())
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	var keys []string
	seen, last, more, size := 0, "", false, 0
	for key := range c.v.names.scan(c.s, snap, q.match.literal(), q.after) {
		if seen == q.count || size > maxKeys {
			more = true
			break
		}
		seen++
		last = key
		if name := c.v.names.shown(key); q.match.match(name) && (q.kind == "" || q.kind == "STRING") {
			keys = append(keys, name)
			size += len(name)
		}
	}
	if err := cmp.Or(snap.Err(), pass.Still()); err != nil {
		return nil, err
	}
	cursor := uint64(0)
	if more {
		cursor = c.v.opts.Door.Server().State().Cursor(last)
		c.v.cursors.note(cursor, last)
	}
	b := wire.AppendBulk(wire.AppendArray(nil, 2), strconv.FormatUint(cursor, 10))
	return appendStrings(b, keys), nil
}

func appendStrings(b []byte, all []string) []byte {
	b = wire.AppendArray(b, len(all))
	for _, s := range all {
		b = wire.AppendBulk(b, s)
	}
	return b
}

func runKeys(c *call) ([]byte, error) {
	match := glob(c.args[1])
	snap, pass, err := c.snapshot(match.literal())
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	var keys []string
	size := 0
	for key := range c.v.names.scan(c.s, snap, match.literal(), "") {
		if name := c.v.names.shown(key); match.match(name) {
			keys = append(keys, name)
			if size += len(name) + 16; size > maxKeys {
				return nil, refusef("ERR more than %d bytes of keys match: use SCAN", maxKeys)
			}
		}
	}
	return appendStrings(nil, keys), cmp.Or(snap.Err(), pass.Still())
}

func runRandomKey(c *call) ([]byte, error) {
	snap, pass, err := c.snapshot("")
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	for range 100 {
		n := snap.Len()
		if n == 0 {
			break
		}
		if key, e := snap.At(rand.IntN(n)); e != nil {
			return wire.AppendBulk(nil, c.v.names.shown(key)), cmp.Or(snap.Err(), pass.Still())
		}
	}
	for key := range snap.Scan("", "") { // nearly all that there was is deleted
		return wire.AppendBulk(nil, c.v.names.shown(key)), cmp.Or(snap.Err(), pass.Still())
	}
	return c.proto.Nil(nil), snap.Err()
}

func runDBSize(c *call) ([]byte, error) {
	if !c.after {
		if err := c.v.opts.Door.Barrier(c.deadline()); err != nil {
			return nil, api.ReadError(err)
		}
	}
	return wire.AppendInt(nil, int64(c.v.opts.Door.Server().State().Len())), nil
}

// directDBSize is runDBSize in a transaction.
func directDBSize(s *session, _ [][]byte) []byte {
	return wire.AppendInt(nil, int64(s.server.opts.Door.Server().State().Len()))
}

func flushOptions(args [][]byte) error {
	if len(args) > 2 || len(args) == 2 && upper(args[1]) != "ASYNC" && upper(args[1]) != "SYNC" {
		return errSyntax
	}
	return nil
}

// runFlush deletes every key but those of locks: in one revision if there are few enough, else
// in as many as it takes.
func runFlush(c *call) ([]byte, error) {
	if err := flushOptions(c.args); err != nil {
		return nil, err
	}
	defer c.v.tracking.flushing()()
	all := ""
	r, err := c.do(&kv.Command{Prefix: &all})
	for err == nil && r.Outcome == kv.TooMany {
		var ops []kv.Op
		if ops, err = c.someKeys(c.v.opts.Door.Limits().Ops); err != nil || len(ops) == 0 {
			break
		}
		_, err = c.deleteMany(ops, len(ops))
	}
	if err != nil {
		return nil, err
	}
	return textOK, nil
}

// someKeys returns deletions of up to most keys, for a caller that may delete all and is shown none.
func (c *call) someKeys(most int) (ops []kv.Op, err error) {
	if _, err := c.s.view().MayUnder(auth.Write, ""); err != nil {
		return nil, err
	}
	snap, err := c.v.opts.Door.Server().Snapshot(c.deadline())
	if err != nil {
		return nil, api.ReadError(err)
	}
	defer snap.Close()
	for key := range snap.Scan("", "") {
		if len(key) >= len(kv.ReservedPrefix) && key[:len(kv.ReservedPrefix)] == kv.ReservedPrefix {
			continue
		}
		if ops = append(ops, del(key)); len(ops) == most {
			break
		}
	}
	return ops, snap.Err()
}

// compileFlush is the deletion of every key in a transaction.
func compileFlush(c *call) (p plan, err error) {
	if err := flushOptions(c.args); err != nil {
		return p, err
	}
	if c.now {
		c.waits = true
		return p, nil
	}
	most := c.v.opts.Door.Limits().Ops / 2
	ops, err := c.someKeys(most + 1)
	if len(ops) > most {
		return p, errTooMany
	}
	seen := make(map[string]bool)
	for i := range ops {
		seen[ops[i].Key] = true
	}
	for i := range c.view.parts {
		for _, op := range c.view.parts[i].Ops {
			if !seen[op.Key] && op.Kind != kv.OpGet {
				seen[op.Key] = true
				ops = append(ops, del(op.Key))
			}
		}
	}
	if len(ops) == 0 {
		return text(textOK), err
	}
	return plan{ops: ops, render: renderOK}, err
}
