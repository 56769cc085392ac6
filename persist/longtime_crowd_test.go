package persist_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// Arrivals are the commands of a crowd in order, each of which is made when its turn has come.
type arrivals []func() *kv.Command

// crowds returns some of the kinds there are, each of up to most commands.
func (l *longTime) crowds(most int) (all []arrivals) {
	kinds := []func(n int) arrivals{
		l.keysByThemselves, l.keysAtOnce, l.keysOnLeases, l.outcomes, l.deletions, l.locksAndQueues, l.newVersions,
	}
	l.rng.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	for _, kind := range kinds[:1+l.rng.IntN(len(kinds))] {
		all = append(all, kind(1+l.rng.IntN(most)))
	}
	return all
}

func (l *longTime) name() string {
	l.drawn++
	return fmt.Sprintf("%c/%d", 'a'+l.rng.IntN(4), l.drawn)
}

func (l *longTime) value() []byte {
	return []byte(strings.Repeat("v", []int{0, 5, 63, 64, 200, 900}[l.rng.IntN(6)]))
}

// minutes returns a random time of up to n minutes.
func (l *longTime) minutes(n int) time.Duration {
	return time.Duration(1+l.rng.IntN(n*60_000)) * time.Millisecond
}

// keysByThemselves end one after the other.
func (l *longTime) keysByThemselves(n int) (c arrivals) {
	for range n {
		c = append(c, func() *kv.Command { return put(l.name(), string(l.value()), l.minutes(40)) })
	}
	return c
}

// keysAtOnce end in the same moment.
func (l *longTime) keysAtOnce(n int) (c arrivals) {
	var at int64
	for range n {
		c = append(c, func() *kv.Command {
			if at <= l.time {
				at = l.time + l.minutes(30).Milliseconds()
			}
			return put(l.name(), string(l.value()), time.Duration(at-l.time)*time.Millisecond)
		})
	}
	return c
}

func (l *longTime) newLease() (id kv.LeaseID) {
	l.drawn++
	id[0] = byte(l.drawn * 37) // not in order
	binary.BigEndian.PutUint64(id[8:], uint64(l.drawn))
	return id
}

// keysOnLeases end with their lease.
func (l *longTime) keysOnLeases(n int) (c arrivals) {
	for len(c) < n {
		id := l.newLease()
		grant := &kv.LeaseCommand{Kind: kv.LeaseGrant, ID: id, TTL: l.minutes(30), Caller: fmt.Sprint("caller", l.rng.IntN(3))}
		c = append(c, func() *kv.Command { return &kv.Command{Lease: grant} })
		for range l.rng.IntN(20) {
			c = append(c, func() *kv.Command {
				k := put(l.name(), string(l.value()), 0)
				k.Ops[0].Lease = id
				return k
			})
		}
		if l.rng.IntN(3) == 0 {
			c = append(c, func() *kv.Command { return &kv.Command{Lease: &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: id}} })
		}
	}
	return c
}

// outcomes are remembered for commands that can be repeated.
func (l *longTime) outcomes(n int) (c arrivals) {
	var last *kv.Command
	for range n {
		c = append(c, func() *kv.Command {
			if last != nil && l.rng.IntN(8) == 0 {
				return last
			}
			l.drawn++
			last = put(fmt.Sprint("once/", l.rng.IntN(20)), string(l.value()), l.minutes(40))
			last.Idem = kv.Idem{Caller: fmt.Sprint("caller", l.rng.IntN(2)), Key: fmt.Sprint("key", l.drawn)}
			return last
		})
	}
	return c
}

// deletions are remembered.
func (l *longTime) deletions(n int) (c arrivals) {
	prefix := l.name() + "/"
	for i := range n {
		c = append(c, func() *kv.Command { return put(prefix+fmt.Sprint(i), "soon gone", l.minutes(60)) })
	}
	if l.rng.IntN(2) == 0 {
		return append(c, func() *kv.Command { return &kv.Command{Prefix: &prefix} })
	}
	for i := range n {
		c = append(c, func() *kv.Command { return del(prefix + fmt.Sprint(i)) })
	}
	return c
}

// locksAndQueues are locks that are held and waited for.
func (l *longTime) locksAndQueues(n int) (c arrivals) {
	names := 1 + l.rng.IntN(6)
	for range n {
		id := l.newLease()
		c = append(c, func() *kv.Command {
			k := &kv.LockCommand{
				Kind: kv.LockAcquire, Name: fmt.Sprint("lock", l.rng.IntN(names)), ID: id,
				TTL: l.minutes(10), WaitTTL: l.minutes(20), Owner: "owner", Caller: "caller",
			}
			return &kv.Command{Lock: k}
		})
		if l.rng.IntN(4) == 0 {
			name := fmt.Sprint("lock", l.rng.IntN(names))
			c = append(c, func() *kv.Command { return &kv.Command{Lock: &kv.LockCommand{Kind: kv.LockBreak, Name: name}} })
		}
	}
	return c
}

// newVersions replace each other.
func (l *longTime) newVersions(n int) (c arrivals) {
	keys := make([]string, 1+n/8)
	for i := range keys {
		keys[i] = l.name()
	}
	for range n {
		c = append(c, func() *kv.Command {
			key := keys[l.rng.IntN(len(keys))]
			k := put(key, string(l.value()), l.minutes(50))
			if it := l.model.Get(key); it != nil && l.rng.IntN(2) == 0 {
				k.Checks = []kv.Check{{Kind: kv.CheckRev, Key: key, N: uint64(it.Mod)}}
			}
			return k
		})
	}
	return c
}

// arrive has crowds come, mixed, in entries of a few commands, with background work between.
func (l *longTime) arrive(all []arrivals) {
	for len(all) > 0 {
		var steps []kvtest.Step
		for range 1 + l.rng.IntN(8) {
			if len(all) == 0 {
				break
			}
			i := l.rng.IntN(len(all))
			steps = append(steps, kvtest.Step{Command: all[i][0]()})
			if all[i] = all[i][1:]; len(all[i]) == 0 {
				all = append(all[:i], all[i+1:]...)
			}
		}
		l.time += int64(l.rng.IntN(3000))
		l.apply(steps...)
		if l.rng.IntN(8) == 0 {
			l.somethingElse()
		}
	}
}
