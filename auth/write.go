package auth

import "keywatch/kv"

// An Origin is where commands come from, as an audit says it.
type Origin struct {
	// Wire is the protocol, Address whom the commands count for.
	Wire, Address string
}

// A Written is a command that its caller was allowed to give and that has its place in the log, unless
// Result says otherwise.
type Written struct {
	Origin
	Who *Caller
	// Command must not be changed or kept.
	Command *kv.Command
	// Result is what the command came to at its place. Its values may be missing.
	Result kv.Pending
}

// AuditWrites has tell called for each command that may change the store, on behalf of a caller whose
// View says From. It must not wait. It is called before the first View is made.
func (d *Door) AuditWrites(tell func(Written)) { d.writes = tell }

// AuditsWrites reports whether Views are to say where they are from.
func (d *Door) AuditsWrites() bool { return d.writes != nil }

// From returns a View whose writes are audited.
func (v View) From(o *Origin) View {
	v.from = o
	return v
}

// wrote tells of a command that has its place in the log.
func (v View) wrote(c *kv.Command, p kv.Pending) {
	if v.from != nil && !c.ReadOnly() {
		v.door.writes(Written{Origin: *v.from, Who: v.who, Command: c, Result: placed(p)})
	}
}

// did is wrote for a command whose result is known.
func (v View) did(c *kv.Command, r kv.Result, err error) {
	if v.from != nil {
		v.wrote(c, settled{r, err})
	}
}

// placed returns what p is without what it does once it is asked for its result, which is done once.
func placed(p kv.Pending) kv.Pending {
	if b, ok := p.(kv.Begun); ok {
		return b.Pending
	}
	return p
}

// repeated tells of a command that was begun again, because a key that it touches had changed, and came to
// r. p is what it came to at first.
func (v View) repeated(c *kv.Command, p kv.Pending, r kv.Result, err error) {
	if v.from == nil || r.Rev == 0 {
		return
	}
	if first, _ := placed(p).Result(); first.Rev == 0 {
		v.did(c, r, err)
	}
}
