package kv

// partsLocked runs parts, in one revision.
func (s *State) partsLocked(parts []Part, r *Result, arena *[]OpResult) {
	m := &s.mu.machine
	m.again, m.first, m.ordinal = true, len(m.events), 0
	r.Parts = make([]PartResult, len(parts))
	for i := range parts {
		s.partLocked(&parts[i], &r.Parts[i], arena)
	}
	r.Rev = s.closeRevisionLocked(m.first)
	m.again = false
	clear(m.before)
	m.before = m.before[:0]
}

func (s *State) partLocked(p *Part, r *PartResult, arena *[]OpResult) {
	ops := p.Ops
	r.Outcome = Committed
	if i, found := firstFailed(p.Checks, s.currentLocked, s.Changed); i >= 0 {
		r.Failed, r.Current = i, found
		if r.Outcome = CheckFailed; !p.HasElse {
			return
		}
		r.Outcome, ops = ElseRan, p.Else
	}
	if i, refused := s.mu.leases.refuse(ops, s); refused != 0 {
		*r = PartResult{Outcome: refused, Failed: i}
		return
	}
	r.Ops = s.opsLocked(ops, arena)
}

// rewritten reports whether old is a version that the parts at hand have made.
func (m *machine) rewritten(old *Entry) bool { return m.again && old != nil && old.Mod == m.rev+1 }

// rewrite makes e, which replaces old, the version that comes after what the key was before
// the revision, if parts write it once more.
func (m *machine) rewrite(e, old *Entry) {
	if !m.rewritten(old) {
		return
	}
	e.ordinal = old.ordinal
	before := m.before[old.ordinal]
	switch {
	case before != nil && !before.Deleted():
		e.Create, e.Version = before.Create, before.Version+1
	case !e.Deleted():
		e.Create, e.Version = e.Mod, 1
	}
}

// tell notes the event that e, which replaces old, is. Of a key that parts write more than
// once there is one event; none if it did not exist before and does not afterwards.
func (m *machine) tell(sl *slot, old, e *Entry) {
	if !m.rewritten(old) {
		m.ordinal++
		m.events = append(m.events, Event{Key: sl.key(), Entry: e, Time: m.time})
		if m.again {
			m.before = append(m.before, old)
		}
		return
	}
	ev := &m.events[m.first+int(e.ordinal)]
	before := m.before[e.ordinal]
	if ev.Entry = e; e.Deleted() && (before == nil || before.Deleted()) {
		ev.Entry = nil
	}
}

// settle takes the events from first on out that came to nothing, and returns how many are
// left.
func (m *machine) settle(first int) int {
	kept := m.events[:first]
	for _, ev := range m.events[first:] {
		if ev.Entry != nil {
			kept = append(kept, ev)
		}
	}
	clear(m.events[len(kept):])
	m.events = kept
	return len(kept) - first
}

// refuseSumsLocked returns the first operation that cannot be done, and why; 0 if all can.
func (s *State) refuseSumsLocked(ops []Op) (index int, why OpError) {
	for i := range ops {
		switch op := &ops[i]; op.Kind {
		case OpAdd, OpAddFloat:
			_, why = op.sum(s.currentLocked(op.Key))
		case OpTouch:
			_, why = s.touchedLocked(op)
		}
		if why != 0 {
			return i, why
		}
	}
	return 0, 0
}

// sum returns what OpAdd and OpAddFloat make of old, which is nil if the key is absent. A
// value that is not small is no number, wherever it is.
func (op *Op) sum(old *Entry) (string, OpError) {
	value := "0"
	if old != nil {
		if value = ""; old.Size() < SmallValue {
			value = old.Value()
		}
	}
	if op.Kind == OpAdd {
		return AddInteger(value, op.By)
	}
	return AddFloat(value, string(op.Value))
}

// addLocked does OpAdd and OpAddFloat.
func (s *State) addLocked(op *Op) (*Entry, OpError) {
	sum, why := op.sum(s.currentLocked(op.Key))
	if why != 0 {
		return nil, why
	}
	return s.writeLocked(op.Key, newEntry(sum), true, true), 0
}

// touchLocked does OpTouch.
func (s *State) touchLocked(op *Op) (*Entry, OpError) {
	value, why := s.touchedLocked(op)
	if value == nil || why != 0 {
		return nil, why
	}
	e := copyEntry(value)
	e.end = s.endLocked(op)
	return s.writeLocked(op.Key, e, false, true), 0
}

// touchedLocked returns the value that a touch writes again, nil if it does nothing.
func (s *State) touchedLocked(op *Op) ([]byte, OpError) {
	old := s.currentLocked(op.Key)
	if old == nil || !op.When.holds(old.Deadline(), s.endLocked(op).when()) {
		return nil, 0
	}
	switch {
	case old.Size() < SmallValue, s.mu.rewritten(old): // in memory on every server
		return append([]byte{}, old.Value()...), 0
	case old.Size() == len(op.Value):
		return op.Value, 0
	}
	return nil, NoValue
}

// when returns the deadline of e, which may be nil.
func (e *end) when() int64 {
	if e == nil {
		return 0
	}
	return e.deadline
}

// holds reports whether the deadline old may become next; 0 is never.
func (w TouchWhen) holds(old, next int64) bool {
	const never = maxTime + 1
	if w&TouchNone != 0 && old != 0 || w&TouchSome != 0 && old == 0 {
		return false
	}
	if old == 0 {
		old = never
	}
	if next == 0 {
		next = never
	}
	return (w&TouchLater == 0 || next > old) && (w&TouchSooner == 0 || next < old)
}
