package kvtest

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"keywatch/kv"
)

// A Model is the state machine written for clarity alone: one map, linear scans
// and copies. It is not safe for concurrent use.
type Model struct {
	Epoch  kv.Epoch
	Rev    kv.Rev
	Time   int64
	Floor  kv.Rev
	Params kv.Params
	// Auth is the auth revision.
	Auth kv.Rev

	// newest holds the newest version of each key, tombstones included; made
	// says in which order versions were made, ordinal where in its revision each
	// stands.
	newest  map[string]Item
	made    map[string]int
	ordinal map[string]uint32
	count   int
	idem    []idemRecord
	leases  map[kv.LeaseID]modelLease
	private map[string]kv.PrivateRecord

	// reset and events collect what the entry at hand does, the events from first
	// on what the revision at hand does.
	reset  bool
	events []Event
	first  int
	// parts holds, while parts run, what each key was that they wrote; else nil.
	parts map[string]*Item
}

type idemRecord struct {
	id      kv.Idem
	expires int64
	result  Result
	// extended says that small values are kept with the result.
	extended bool
}

// NewModel returns an empty model.
func NewModel() *Model {
	return &Model{
		Params: kv.Params{}.WithDefaults(),
		newest: make(map[string]Item), made: make(map[string]int), ordinal: make(map[string]uint32),
		leases: make(map[kv.LeaseID]modelLease), private: make(map[string]kv.PrivateRecord),
	}
}

// Clone returns an independent copy.
func (m *Model) Clone() *Model {
	c := *m
	c.newest, c.made, c.leases = maps.Clone(m.newest), maps.Clone(m.made), maps.Clone(m.leases)
	c.ordinal, c.private = maps.Clone(m.ordinal), maps.Clone(m.private)
	c.idem, c.events = slices.Clone(m.idem), nil
	return &c
}

// A Step is one thing in a log entry: a command or a setup.
type Step struct {
	Command *kv.Command
	Setup   *kv.Setup
}

// Apply runs an entry and returns its results, its events, and whether history
// begins again.
func (m *Model) Apply(now int64, steps []Step) (results []Result, events []Event, reset bool) {
	m.Time = max(m.Time, now)
	m.events, m.reset = nil, false
	for len(m.idem) > 0 && m.idem[0].expires <= m.Time {
		m.idem = m.idem[1:]
	}
	m.expireDue()
	for _, st := range steps {
		var r Result
		if st.Setup != nil {
			m.setup(*st.Setup)
			r.Outcome = kv.Committed
		} else {
			r = m.run(st.Command)
		}
		r.At, r.Time = m.Position(), m.Time
		results = append(results, r)
	}
	m.forget()
	return results, m.events, m.reset
}

// Position returns the position after the last entry.
func (m *Model) Position() kv.Position { return kv.Position{Epoch: m.Epoch, Rev: m.Rev} }

func (m *Model) setup(u kv.Setup) {
	m.Params = u.Params.WithDefaults()
	if u.Epoch == 0 {
		return
	}
	if m.Rev > 0 {
		m.Rev += kv.RevLift
	}
	m.Epoch, m.Floor, m.reset = u.Epoch, m.Rev, true
}

// Get returns the version of key, nil if it is absent.
func (m *Model) Get(key string) *Item {
	if it, ok := m.newest[key]; ok && it.Cause == "" {
		return &it
	}
	return nil
}

// where returns the newest versions that are asked for, in no order.
func (m *Model) where(want func(it Item) bool) (out []Item) {
	for _, it := range m.newest {
		if want(it) {
			out = append(out, it)
		}
	}
	return out
}

// Changes returns the newest versions of keys under prefix made after since, by
// key, tombstones included.
func (m *Model) Changes(prefix string, since kv.Rev) []Item {
	out := m.where(func(it Item) bool { return it.Mod > since && strings.HasPrefix(it.Key, prefix) })
	slices.SortFunc(out, func(a, b Item) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// Scan returns the keys under prefix that come after after, by key.
func (m *Model) Scan(prefix, after string) []Item {
	return slices.DeleteFunc(m.Changes(prefix, 0), func(it Item) bool {
		return it.Cause != "" || it.Key <= after
	})
}

// Tombstones returns how many deletions are remembered, Deadlines how many keys
// have one, and IdemRecords how many outcomes are kept.
func (m *Model) Tombstones() int { return len(m.Changes("", 0)) - len(m.Scan("", "")) }

// Deadlines returns how many keys have a deadline.
func (m *Model) Deadlines() int { return len(m.timed()) }

// timed returns the keys with a deadline.
func (m *Model) timed() []Item {
	return m.where(func(it Item) bool { return it.Cause == "" && it.Deadline != 0 })
}

// IdemRecords returns how many outcomes are kept.
func (m *Model) IdemRecords() int { return len(m.idem) }

// NextDeadline returns the first time at which a key or lease is due to end.
func (m *Model) NextDeadline() (at int64, ok bool) {
	if leases := m.byDeadline(); len(leases) > 0 {
		at, ok = leases[0].deadline+1, true
	}
	for _, it := range m.timed() {
		if !ok || it.Deadline+1 < at {
			at, ok = it.Deadline+1, true
		}
	}
	return at, ok
}

// ended reports whether the deadline of a version has passed.
func (m *Model) ended(it *Item) bool {
	return it != nil && it.Cause == "" && it.Deadline != 0 && it.Deadline < m.Time
}

// due returns the keys under prefix whose deadline has passed, the earliest
// first.
func (m *Model) due(prefix string) (keys []string) {
	items := m.where(func(it Item) bool { return m.ended(&it) && strings.HasPrefix(it.Key, prefix) })
	slices.SortFunc(items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(a.Deadline, b.Deadline), strings.Compare(a.Key, b.Key))
	})
	for _, it := range items {
		keys = append(keys, it.Key)
	}
	return keys
}

// expire deletes key, if it is due, in a revision of its own.
func (m *Model) expire(key string) {
	if m.ended(m.Get(key)) {
		m.revision(func() { m.remove(key, "expired") })
	}
}

// revision runs f and returns the revision that its changes took, 0 if there
// were none.
func (m *Model) revision(f func()) kv.Rev {
	m.first = len(m.events)
	f()
	if len(m.events) == m.first {
		return 0
	}
	if m.settle(); len(m.events) == m.first {
		m.Rev++
		return m.Rev
	}
	m.handOver(m.events[m.first:])
	m.events[len(m.events)-1].Last = true
	m.Rev++
	return m.Rev
}

func (m *Model) remove(key, cause string) *Item {
	old := m.Get(key)
	if old == nil {
		return nil
	}
	return m.write(Item{
		Key: key, Mod: m.Rev + 1, Create: old.Create, Version: old.Version + 1,
		Deadline: m.Time, Cause: cause,
	})
}

func (m *Model) put(op kv.Op) *Item {
	it := Item{Key: op.Key, Value: string(op.Value), Lease: op.Lease, Mod: m.Rev + 1, Create: m.Rev + 1, Version: 1}
	it.Deadline = op.At
	if op.TTL > 0 {
		it.Deadline = m.Time + millis(op.TTL)
	}
	if old := m.Get(op.Key); old != nil {
		it.Create, it.Version = old.Create, old.Version+1
		if op.TTL == kv.KeepTTL {
			it.Deadline = old.Deadline
		}
		if op.KeepLease {
			it.Lease = old.Lease
		}
	}
	return m.write(it)
}

func (m *Model) write(it Item) *Item {
	before, again := m.parts[it.Key]
	if m.parts != nil && !again {
		m.parts[it.Key] = m.Get(it.Key)
	}
	if again && before != nil {
		it.Create, it.Version = before.Create, before.Version+1
	} else if again && it.Cause == "" {
		it.Create, it.Version = it.Mod, 1
	}
	m.newest[it.Key] = it
	m.count++
	m.made[it.Key] = m.count
	if again {
		m.events[m.first+int(m.ordinal[it.Key])].Item = it
		return &it
	}
	m.ordinal[it.Key] = uint32(len(m.events) - m.first)
	m.events = append(m.events, Event{Item: it, Time: m.Time})
	return &it
}

// settle takes out the events of keys that parts have made and removed again.
func (m *Model) settle() {
	kept := slices.Clone(m.events[:m.first])
	for _, ev := range m.events[m.first:] {
		if before, written := m.parts[ev.Key]; !written || before != nil || ev.Cause == "" {
			kept = append(kept, ev)
		}
	}
	m.events = kept
}

// forget drops the oldest deletions while they are beyond the window.
func (m *Model) forget() {
	for {
		tombs := m.where(func(it Item) bool { return it.Cause != "" })
		if len(tombs) == 0 {
			return
		}
		old := slices.MinFunc(tombs, func(a, b Item) int { return m.made[a.Key] - m.made[b.Key] })
		if old.Mod > m.Floor && len(tombs) <= m.Params.TombstoneMax &&
			old.Deadline >= m.Time-m.Params.TombstoneAge.Milliseconds() {
			return
		}
		m.Floor = max(m.Floor, old.Mod)
		delete(m.newest, old.Key)
	}
}
