package ws

import (
	"cmp"
	"strings"

	"keywatch/kv"
	"keywatch/kv/kvjson"
	"keywatch/ratelimit"
	"keywatch/web/api"
)

// A op is something that a command can ask for.
type op struct {
	name string
	// need and may are the fields that it must and may have, besides id and op.
	need, may api.FieldSet
	// run answers the command, or begins it and has it answered later; if it
	// fails the error is the answer.
	run func(r *runner, c *command) error
}

// ops is the one table of operations.
var ops = [...]op{
	{"watch", 0, hasKeys | hasPrefixes | hasSince | hasState | hasMode | hasInterval, (*runner).watch},
	{"unwatch", hasWatch, 0, (*runner).unwatch},
	{"get", hasKey, hasConsistency, (*runner).get},
	{"put", hasKey | hasValue, hasEncoding | hasTTL | hasLease | hasIfMatch | hasIfAbsent | anyWrite, (*runner).put},
	{"delete", 0, hasKey | hasPrefix | hasIfMatch | anyWrite, (*runner).delete},
	{"cas", hasKey | hasExpected | hasNew, hasEncoding | hasTTL | hasLease | anyWrite, (*runner).cas},
	{"add", hasKey, hasBy | hasIfMatch | hasIfAbsent | anyWrite, (*runner).add},
	{"touch", hasKey | hasTTL, hasIfMatch | anyWrite, (*runner).touch},
	{"batch", hasOps, hasChecks | hasElse | anyWrite, (*runner).batch},
	{"list", 0, hasPrefix | hasLimit | hasCursor | hasKeys | hasConsistency, (*runner).list},
	{"ping", 0, 0, (*runner).ping},
	{"lease", hasTTL, anyWrite, (*runner).grant},
	{"keepalive", 0, hasLease | hasLock | hasToken | anyWrite, (*runner).keep},
	{"revoke", hasLease, anyWrite, (*runner).revoke},
	{"lock", hasLock | hasTTL, hasWait | hasOwner | anyWrite, (*runner).lock},
	{"bind", hasLease, anyWrite, (*runner).bind},
	{"unbind", hasLease, anyWrite, (*runner).unbind},
	{"unlock", hasLock, hasToken | hasForce | anyWrite, (*runner).unlock},
	{"auth", hasToken, 0, (*runner).auth},
}

// opNames are the names of ops, but for auth: without authentication there is no such operation.
var opNames = func() (names []string) {
	for i := range ops {
		if ops[i].name != "auth" {
			names = append(names, ops[i].name)
		}
	}
	return names
}()

func (r *runner) watch(c *command) error {
	if c.keysFlag {
		return api.Refuse(api.CodeBadJSON, "keys of a watch must be an array")
	}
	if err := c.sub.Finish(); err != nil {
		return err
	}
	if err := r.charge(ratelimit.Watch, 1); err != nil {
		return err
	}
	if err := r.s.open(c.id, c.sub.Request); err != nil {
		return err
	}
	r.answered++ // the watch says so itself, before its first event
	return nil
}

func (r *runner) unwatch(c *command) error {
	if err := r.s.unwatch(c.watch); err != nil {
		return err
	}
	r.end(r.begin(c.id))
	return nil
}

func (r *runner) ping(c *command) error {
	r.end(api.AppendPosition(append(r.begin(c.id), ','), r.s.server.opts.Door.Position()))
	return nil
}

func (r *runner) get(c *command) error {
	if err := kv.CheckKey(c.key); err != nil {
		return err
	}
	if err := r.charge(ratelimit.Read, 1); err != nil {
		return err
	}
	e, at, err := r.read(c)
	if err != nil {
		return err
	}
	if e == nil {
		return api.NoKey(c.key)
	}
	b, err := api.Room(r.room).Entry(append(r.begin(c.id), ','), c.key, e.Size())
	if err != nil {
		return err
	}
	b = api.AppendEntryFields(b, c.key, e, r.s.server.opts.Door.Now(), true)
	r.end(appendAt(b, e.Mod, at))
	return api.Room(r.room).Took(r.out)
}

// read returns the newest version of a key, nil if it is absent.
func (r *runner) read(c *command) (*kv.Entry, kv.Position, error) {
	e, at, err := r.s.view().Get(r.deadline(c), c.key, c.list.Local, r.fetchRoom)
	if c.list.Local {
		return e, at, api.ColdError(err)
	}
	return e, at, api.ReadError(err)
}

func (r *runner) list(c *command) error {
	o := &c.list
	if c.has(hasKeys) && !c.keysFlag {
		return api.Refuse(api.CodeBadJSON, "keys of a list must be true or false")
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
	if err := r.charge(ratelimit.Read, 1); err != nil {
		return err
	}
	snap, pass, err := r.s.view().Snapshot(r.deadline(c), o.Prefix, o.Local)
	if err != nil {
		return api.ReadError(err)
	}
	defer snap.Close()
	b := r.begin(c.id)
	at := len(b)
	b, err = o.AppendPage(r.deadline(c), b, snap, r.s.server.opts.Door.Now(), r.room)
	if err == nil {
		err = cmp.Or(snap.Err(), pass.Still())
	}
	if err != nil {
		return api.ColdError(err)
	}
	b[at] = ',' // the members of the object go on from there
	r.end(b[:len(b)-1])
	return nil
}

func (r *runner) put(c *command) error {
	value, err := c.value.Value(c.coding)
	if err != nil {
		return err
	}
	if c.cmd.Checks, err = r.checks(c); err != nil {
		return err
	}
	op := kv.Op{Kind: kv.OpPut, Key: c.key, Value: value, TTL: c.ttl}
	if c.has(hasLease) {
		if op.Lease, err = api.NamedLease(c.lease.String()); err != nil {
			return err
		}
	}
	c.cmd.Ops = []kv.Op{op}
	return r.write(c, 1, (*runner).didPut)
}

func (r *runner) didPut(id uint64, c *kv.Command, result *kv.Result) error {
	e := result.Ops[0].Entry
	b := api.AppendPutResult(append(r.begin(id), ','), e)
	r.end(r.durability(appendAt(b, e.Mod, result.At), result))
	return nil
}

func (r *runner) add(c *command) (err error) {
	if c.cmd.Checks, err = r.checks(c); err != nil {
		return err
	}
	by := int64(1)
	if c.has(hasBy) {
		by = c.by
	}
	c.cmd.Ops = []kv.Op{{Kind: kv.OpAdd, Key: c.key, By: by}}
	return r.write(c, 1, (*runner).didAdd)
}

func (r *runner) didAdd(id uint64, c *kv.Command, result *kv.Result) error {
	did := &result.Ops[0]
	b := api.AppendAddResult(append(r.begin(id), ','), did)
	r.end(r.durability(appendAt(b, did.Entry.Mod, result.At), result))
	return nil
}

func (r *runner) touch(c *command) (err error) {
	if c.cmd.Checks, err = r.checks(c); err != nil {
		return err
	}
	ttl, err := api.ParseTouch(c.ttlText)
	if err != nil {
		return err
	}
	c.cmd.Ops = []kv.Op{{Kind: kv.OpTouch, Key: c.key, TTL: ttl}}
	return r.write(c, 1, (*runner).didTouch)
}

func (r *runner) didTouch(id uint64, c *kv.Command, result *kv.Result) error {
	if result.Ops[0].Entry == nil {
		return api.NoKey(c.Ops[0].Key)
	}
	return r.didPut(id, c, result)
}

func (r *runner) delete(c *command) (err error) {
	if c.has(hasPrefix) {
		return r.deletePrefix(c)
	}
	if !c.has(hasKey) {
		return api.Refuse(api.CodeBadJSON, `delete requires field "key" or "prefix"`)
	}
	if c.cmd.Checks, err = r.checks(c); err != nil {
		return err
	}
	c.cmd.Ops = []kv.Op{{Kind: kv.OpDelete, Key: c.key}}
	return r.write(c, 1, (*runner).didDelete)
}

func (r *runner) didDelete(id uint64, c *kv.Command, result *kv.Result) error {
	if result.Ops[0].Entry == nil {
		return api.NoKey(c.Ops[0].Key)
	}
	return r.didRemove(id, c, result)
}

// didRemove answers for a deletion that is asked for as a result.
func (r *runner) didRemove(id uint64, c *kv.Command, result *kv.Result) error {
	b := append(r.begin(id), `,"deleted":`...)
	if result.Ops[0].Entry != nil {
		b = kvjson.AppendNumber(append(b, "true,"...), "rev", uint64(result.Rev))
	} else {
		b = append(b, "false"...)
	}
	r.end(r.durability(api.AppendPosition(append(b, ','), result.At), result))
	return nil
}

// deletePrefix deletes every key with a prefix, which is not empty: on a socket
// nothing deletes all there is.
func (r *runner) deletePrefix(c *command) error {
	switch {
	case c.has(hasKey):
		return api.Refuse(api.CodeBadJSON, "delete: key and prefix cannot be combined")
	case c.has(hasIfMatch):
		return api.Refuse(api.CodeBadCondition, "if_match requires key")
	case c.list.Prefix == "":
		return api.Refuse(api.CodePrefixRequired, "the prefix must not be empty")
	}
	if err := kv.CheckPrefix(c.list.Prefix); err != nil {
		return err
	}
	c.cmd.Prefix = &c.list.Prefix
	return r.write(c, 1, (*runner).didDeletePrefix)
}

func (r *runner) didDeletePrefix(id uint64, c *kv.Command, result *kv.Result) error {
	b := kvjson.AppendNumber(append(r.begin(id), ','), "deleted", uint64(result.Deleted))
	b = kvjson.AppendNumber(append(b, ','), "rev", uint64(result.Rev))
	r.end(r.durability(api.AppendPosition(append(b, ','), result.At), result))
	return nil
}

func (r *runner) cas(c *command) error {
	d := &c.cas
	d.TTL, d.Lease, d.Encoding = c.ttl, c.lease, c.coding
	if err := d.Command(&c.cmd, c.key); err != nil {
		return err
	}
	if d.Remove {
		return r.write(c, 1, (*runner).didRemove)
	}
	return r.write(c, 1, (*runner).didPut)
}

func (r *runner) batch(c *command) error {
	// Before it takes its place: what has changed something must be told.
	door := r.s.server.opts.Door
	reads := 0
	if size, cold := door.ReadSize(&c.cmd); size <= int64(door.Limits().Command) {
		var err error
		if reads, err = r.readsRoom(int(size), int(cold)); err != nil {
			return err
		}
	}
	err := r.write(c, max(1, len(c.cmd.Ops)+len(c.cmd.Else)), (*runner).didBatch)
	r.writes[len(r.writes)-1].reads = reads
	return err
}

func (r *runner) didBatch(id uint64, c *kv.Command, result *kv.Result) error {
	b := r.begin(id)
	at := len(b)
	b, err := api.AppendBatch(b, c, result, r.s.server.opts.Door.Now, r.room)
	if err != nil {
		return err
	}
	b[at] = ',' // the members of the object go on from there
	b = b[:len(b)-1]
	if result.At.Epoch != 0 || result.At.Rev != 0 {
		b = api.AppendPosition(append(b, ','), result.At)
	}
	if !c.ReadOnly() {
		b = r.durability(b, result)
	}
	r.end(b)
	return nil
}

// checks returns the checks that if_match and if_absent stand for.
func (r *runner) checks(c *command) (checks []kv.Check, err error) {
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
		return nil, api.Refuse(api.CodeBadCondition, `if_match: expected one ETag as the server sent it, such as "7f3a9c21-2" with its quotes, or *`)
	}
	epoch := r.s.server.opts.Door.Position().Epoch
	return append(checks, api.CheckVersion(c.key, tag, epoch)), nil
}
