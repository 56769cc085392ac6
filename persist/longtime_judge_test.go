package persist_test

import (
	"reflect"

	"keywatch/kv"
	"keywatch/kv/kvtest"
)

// judge compares the state with the model, values in all tiers included.
func (l *longTime) judge(when string) {
	l.t.Helper()
	snap, err := l.state.Snapshot()
	if err != nil {
		l.fatal("%s: snapshot: %v", when, err)
	}
	defer snap.Close()
	l.compareSnapshot(when, snap, l.model)
	s := l.state.Stats()
	for what, n := range map[string][2]int{
		"keys":       {s.Keys, len(l.model.Scan("", ""))},
		"tombstones": {s.Tombstones, l.model.Tombstones()},
		"deadlines":  {s.Deadlines, l.model.Deadlines()},
		"outcomes":   {s.IdemRecords, l.model.IdemRecords()},
		"leases":     {s.Leases, len(l.model.Leases())},
		"waiting":    {s.LockWaiters, len(l.model.Scan(kv.ReservedPrefix, "")) - s.Locks},
	} {
		if n[0] != n[1] {
			l.fatal("%s: %d %s, want %d", when, n[0], what, n[1])
		}
	}
	for _, id := range l.model.Leases() {
		got, _ := l.state.Lease(id)
		if want := l.model.Lease(id); got != want {
			l.fatal("%s: lease is %+v, want %+v", when, got, want)
		}
	}
}

// compareSnapshot compares all that a snapshot shows with a model.
func (l *longTime) compareSnapshot(when string, snap *kv.Snapshot, model *kvtest.Model) {
	l.t.Helper()
	if got, want := snap.Position(), model.Position(); got != want || snap.Floor() != model.Floor {
		l.fatal("%s: at %v, floor %d, want %v, %d", when, got, snap.Floor(), want, model.Floor)
	}
	want := model.Changes("", 0)
	for key, e := range snap.Changes("", 0) {
		e, err := snap.Resolve(l.t.Context(), key, e)
		if err != nil {
			l.fatal("%s: read %s: %v", when, key, err)
		}
		if len(want) == 0 || *kvtest.ItemOf(key, e) != want[0] {
			l.fatal("%s: there is %v, want %v", when, kvtest.ItemOf(key, e), want)
		}
		want = want[1:]
	}
	if len(want) > 0 {
		l.fatal("%s: %v is missing", when, want[0])
	}
}

// compareResult compares what a command did with what it must do. What a result shows of keys
// whose value is not in memory is left out.
func (l *longTime) compareResult(c *kv.Command, r kv.Result, want kvtest.Result) {
	l.t.Helper()
	if c == nil {
		c = &kv.Command{}
	}
	cold := r.Current != nil && r.Current.Cold()
	for _, op := range r.Ops {
		cold = cold || op.Entry != nil && op.Entry.Cold()
	}
	if cold {
		r.Current, r.CurrentNoValue, r.Ops = nil, false, nil
		want.Current, want.CurrentNoValue, want.Ops = nil, false, nil
	}
	if got := kvtest.ResultOf(c, r); !reflect.DeepEqual(got, want) {
		l.fatal("%+v: got %+v, want %+v", c, got, want)
	}
}
