package kvtest

import (
	"time"

	"pgregory.net/rapid"

	"keywatch/kv"
)

// lease draws a command about a lease or a lock.
func (g *Generator) lease(t *rapid.T, c *kv.Command) {
	if rapid.Bool().Draw(t, "about a lock") {
		c.Lock = g.lock(t)
		return
	}
	c.Lease = &kv.LeaseCommand{Kind: kv.LeaseKind(rapid.IntRange(1, 3).Draw(t, "lease command"))}
	if c.Lease.Kind != kv.LeaseGrant {
		c.Lease.ID = g.someLease(t)
		return
	}
	c.Lease.ID, c.Lease.TTL, c.Lease.Caller = g.newLease(t), g.someTTL(t), g.caller(t)
}

func (g *Generator) lock(t *rapid.T) *kv.LockCommand {
	kinds := []kv.LockKind{kv.LockAcquire, kv.LockAcquire, kv.LockAcquire, kv.LockGiveUp, kv.LockKeep, kv.LockRelease, kv.LockBreak}
	l := &kv.LockCommand{
		Kind: rapid.SampledFrom(kinds).Draw(t, "lock command"),
		Name: rapid.SampledFrom(locks).Draw(t, "name of lock"),
	}
	switch l.Kind {
	case kv.LockAcquire:
		l.ID, l.TTL, l.Caller = g.newLease(t), g.someTTL(t), g.caller(t)
		l.Owner = rapid.SampledFrom([]string{"", "me", "you"}).Draw(t, "owner")
		if chance(t, 80, "waits") {
			l.WaitTTL = g.someTTL(t)
		}
	case kv.LockGiveUp:
		l.ID = g.someLease(t)
		if its := g.model.leases[l.ID].lock; its != "" && chance(t, 90, "its lock") {
			l.Name = its
		}
	case kv.LockKeep, kv.LockRelease:
		l.Token = 1
		if it := g.model.Get(kv.LockKey(l.Name)); it != nil && chance(t, 80, "token") {
			l.Token = it.Create
		}
	}
	return l
}

// newLease draws the name of a lease that was never used, or now and then one
// that was.
func (g *Generator) newLease(t *rapid.T) kv.LeaseID {
	if chance(t, 3, "used name") {
		return g.someLease(t)
	}
	g.drawn++
	// Names are not in the order in which they are drawn.
	return kv.LeaseID{byte(g.drawn * 37), byte(g.drawn >> 8), byte(g.drawn), 1}
}

// someLease returns a lease that lives or, now and then, does not.
func (g *Generator) someLease(t *rapid.T) kv.LeaseID {
	live := g.model.Leases()
	if len(live) == 0 || chance(t, 10, "no lease") {
		return kv.LeaseID{0xff, byte(rapid.IntRange(0, 2).Draw(t, "ended lease"))}
	}
	return rapid.SampledFrom(live).Draw(t, "lease")
}

func (g *Generator) someTTL(t *rapid.T) time.Duration {
	return time.Duration(rapid.IntRange(1, 500_000).Draw(t, "lease ttl")) * time.Microsecond
}

func (g *Generator) caller(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "ann"}).Draw(t, "lease caller")
}
