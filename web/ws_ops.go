package web

import (
	"strings"

	"keywatch/kv"
	"keywatch/kv/kvjson"
	"keywatch/ratelimit"
	"keywatch/web/api"
)

// A socketOp is something that a command can ask for.
type socketOp struct {
	name string
	// need and may are the fields that it must and may have, besides id and op.
	need, may api.FieldSet
	// run answers the command, or begins it and has it answered later; if it
	// fails the error is the answer.
	run func(l *lane, c *socketCommand) error
}

// socketOps is the one table of operations.
var socketOps = [...]socketOp{
	{"watch", 0, hasKeys | hasPrefixes | hasSince | hasState | hasMode | hasInterval, (*lane).watch},
	{"unwatch", hasWatch, 0, (*lane).unwatch},
	{"get", hasKey, hasConsistency, (*lane).get},
	{"put", hasKey | hasValue, hasEncoding | hasTTL | hasLease | hasIfMatch | hasIfAbsent | anyWrite, (*lane).put},
	{"delete", 0, hasKey | hasPrefix | hasIfMatch | anyWrite, (*lane).delete},
	{"cas", hasKey | hasExpected | hasNew, hasEncoding | hasTTL | hasLease | anyWrite, (*lane).cas},
	{"batch", hasOps, hasChecks | hasElse | anyWrite, (*lane).batch},
	{"list", 0, hasPrefix | hasLimit | hasCursor | hasKeys | hasConsistency, (*lane).list},
	{"ping", 0, 0, (*lane).ping},
	{"lease", hasTTL, anyWrite, (*lane).grant},
	{"keepalive", 0, hasLease | hasLock | hasToken | anyWrite, (*lane).keep},
	{"revoke", hasLease, anyWrite, (*lane).revoke},
	{"lock", hasLock | hasTTL, hasWait | hasOwner | anyWrite, (*lane).lock},
	{"bind", hasLease, anyWrite, (*lane).bind},
	{"unbind", hasLease, anyWrite, (*lane).unbind},
	{"unlock", hasLock, hasToken | hasForce | anyWrite, (*lane).unlock},
}

func (l *lane) watch(c *socketCommand) error {
	if c.keysFlag {
		return api.Refuse(api.CodeBadJSON, "keys of a watch is an array")
	}
	if err := c.sub.Finish(); err != nil {
		return err
	}
	if err := l.charge(ratelimit.Watch, 1); err != nil {
		return err
	}
	if err := l.s.open(c.id, c.sub.Request); err != nil {
		return err
	}
	l.answered++ // the watch says so itself, before its first event
	return nil
}

func (l *lane) unwatch(c *socketCommand) error {
	if err := l.s.unwatch(c.watch); err != nil {
		return err
	}
	l.end(l.begin(c.id))
	return nil
}

func (l *lane) ping(c *socketCommand) error {
	l.end(api.AppendPosition(append(l.begin(c.id), ','), l.s.server.opts.Store.State().Position()))
	return nil
}

func (l *lane) get(c *socketCommand) error {
	if err := kv.CheckKey(c.key); err != nil {
		return err
	}
	if err := l.charge(ratelimit.Read, 1); err != nil {
		return err
	}
	e, at, err := l.read(c)
	if err != nil {
		return err
	}
	if e == nil {
		return api.Refuse(api.CodeKeyNotFound, "there is no key %.200q", c.key)
	}
	b := api.AppendEntryFields(append(l.begin(c.id), ','), c.key, e, l.s.server.opts.Store.Now(), true)
	l.end(appendAt(b, e.Mod, at))
	return nil
}

// read returns the newest version of a key, nil if it is absent.
func (l *lane) read(c *socketCommand) (*kv.Entry, kv.Position, error) {
	store := l.s.server.opts.Store
	if c.list.Local {
		e, at, err := store.State().Read(l.patience(), c.key)
		return e, at, api.ColdError(err)
	}
	e, at, err := store.Get(l.patience(), c.key)
	return e, at, api.ReadError(err)
}

func (l *lane) list(c *socketCommand) error {
	o := &c.list
	if c.has(hasKeys) && !c.keysFlag {
		return api.Refuse(api.CodeBadJSON, "keys of a list is true or false")
	}
	if err := kv.CheckPrefix(o.Prefix); err != nil {
		return err
	}
	if c.has(hasCursor) {
		var err error
		if o.After, err = api.ParseCursor(c.cursor, o.Prefix); err != nil {
			return err
		}
	}
	if err := l.charge(ratelimit.Read, 1); err != nil {
		return err
	}
	store := l.s.server.opts.Store
	open := func() (*kv.Snapshot, error) { return store.Snapshot(l.patience()) }
	if o.Local {
		open = store.State().Snapshot
	}
	snap, err := open()
	if err != nil {
		return api.ReadError(err)
	}
	defer snap.Close()
	b := l.begin(c.id)
	at := len(b)
	b, err = o.AppendPage(l.patience(), b, snap, store.Now())
	if err == nil {
		err = snap.Err()
	}
	if err != nil {
		return api.ColdError(err)
	}
	b[at] = ',' // the members of the object go on from there
	l.end(b[:len(b)-1])
	return nil
}

func (l *lane) put(c *socketCommand) error {
	value, err := c.value.Value(c.coding)
	if err != nil {
		return err
	}
	if c.cmd.Checks, err = l.checks(c); err != nil {
		return err
	}
	op := kv.Op{Kind: kv.OpPut, Key: c.key, Value: value, TTL: c.ttl}
	if c.has(hasLease) {
		if op.Lease, err = api.NamedLease(c.lease.String()); err != nil {
			return err
		}
	}
	c.cmd.Ops = []kv.Op{op}
	return l.write(c, 1, (*lane).didPut)
}

func (l *lane) didPut(id uint64, c *kv.Command, r *kv.Result) error {
	e := r.Ops[0].Entry
	b := api.AppendPutResult(append(l.begin(id), ','), e)
	l.end(l.durability(appendAt(b, e.Mod, r.At), r))
	return nil
}

func (l *lane) delete(c *socketCommand) (err error) {
	if c.has(hasPrefix) {
		return l.deletePrefix(c)
	}
	if !c.has(hasKey) {
		return api.Refuse(api.CodeBadJSON, "delete wants the field key, or prefix")
	}
	if c.cmd.Checks, err = l.checks(c); err != nil {
		return err
	}
	c.cmd.Ops = []kv.Op{{Kind: kv.OpDelete, Key: c.key}}
	return l.write(c, 1, (*lane).didDelete)
}

func (l *lane) didDelete(id uint64, c *kv.Command, r *kv.Result) error {
	if r.Ops[0].Entry == nil {
		return api.Refuse(api.CodeKeyNotFound, "there is no key %.200q", c.Ops[0].Key)
	}
	return l.didRemove(id, c, r)
}

// didRemove answers for a deletion that is asked for as a result.
func (l *lane) didRemove(id uint64, c *kv.Command, r *kv.Result) error {
	b := append(l.begin(id), `,"deleted":`...)
	if r.Ops[0].Entry != nil {
		b = kvjson.AppendNumber(append(b, "true,"...), "rev", uint64(r.Rev))
	} else {
		b = append(b, "false"...)
	}
	l.end(l.durability(api.AppendPosition(append(b, ','), r.At), r))
	return nil
}

// deletePrefix deletes every key with a prefix, which is not empty: on a socket
// nothing deletes all there is.
func (l *lane) deletePrefix(c *socketCommand) error {
	switch {
	case c.has(hasKey):
		return api.Refuse(api.CodeBadJSON, "delete wants key or prefix, not both")
	case c.has(hasIfMatch):
		return api.Refuse(api.CodeBadCondition, "if_match goes with a key")
	case c.list.Prefix == "":
		return api.Refuse(api.CodePrefixRequired, "the prefix may not be empty")
	}
	if err := kv.CheckPrefix(c.list.Prefix); err != nil {
		return err
	}
	c.cmd.Prefix = &c.list.Prefix
	return l.write(c, 1, (*lane).didDeletePrefix)
}

func (l *lane) didDeletePrefix(id uint64, c *kv.Command, r *kv.Result) error {
	b := kvjson.AppendNumber(append(l.begin(id), ','), "deleted", uint64(r.Deleted))
	b = kvjson.AppendNumber(append(b, ','), "rev", uint64(r.Rev))
	l.end(l.durability(api.AppendPosition(append(b, ','), r.At), r))
	return nil
}

func (l *lane) cas(c *socketCommand) error {
	d := &c.cas
	d.TTL, d.Lease, d.Encoding = c.ttl, c.lease, c.coding
	if err := d.Command(&c.cmd, c.key); err != nil {
		return err
	}
	if d.Remove {
		return l.write(c, 1, (*lane).didRemove)
	}
	return l.write(c, 1, (*lane).didPut)
}

func (l *lane) batch(c *socketCommand) error {
	return l.write(c, max(1, len(c.cmd.Ops)+len(c.cmd.Else)), (*lane).didBatch)
}

func (l *lane) didBatch(id uint64, c *kv.Command, r *kv.Result) error {
	b := l.begin(id)
	at := len(b)
	b = api.AppendBatch(b, c, r, l.s.server.opts.Store.Now)
	b[at] = ',' // the members of the object go on from there
	b = b[:len(b)-1]
	if r.At.Epoch != 0 || r.At.Rev != 0 {
		b = api.AppendPosition(append(b, ','), r.At)
	}
	if !c.ReadOnly() {
		b = l.durability(b, r)
	}
	l.end(b)
	return nil
}

// checks returns the checks that if_match and if_absent stand for.
func (l *lane) checks(c *socketCommand) (checks []kv.Check, err error) {
	if c.has(hasIfAbsent) {
		checks = append(checks, api.CheckAbsent(c.key))
	}
	if !c.has(hasIfMatch) {
		return checks, nil
	}
	if c.ifMatch == "*" {
		return append(checks, api.CheckPresent(c.key)), nil
	}
	tag, ok := api.ParseETag(c.ifMatch)
	if !ok && !strings.HasPrefix(c.ifMatch, `"`) {
		tag, err = kv.ParsePosition(c.ifMatch)
		ok = err == nil
	}
	if !ok {
		return nil, api.Refuse(api.CodeBadCondition, "if_match is one etag as the server sent it, or *")
	}
	epoch := l.s.server.opts.Store.State().Position().Epoch
	return append(checks, api.CheckVersion(c.key, tag, epoch)), nil
}
