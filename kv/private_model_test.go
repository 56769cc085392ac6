package kv_test

import (
	"iter"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"keywatch/kv"
)

// A privateRecorder is the private records as a watcher knows them.
type privateRecorder struct {
	records map[string]kv.PrivateRecord
	auth    kv.Rev
	epoch   kv.Epoch
}

func (r *privateRecorder) PrivateChanged(changed []kv.PrivateRecord, auth kv.Rev) {
	r.auth = auth
	for _, rec := range changed {
		if rec.Value == nil {
			delete(r.records, rec.Name)
			continue
		}
		r.records[rec.Name] = rec
	}
}

func (r *privateRecorder) PrivateReset(all iter.Seq[kv.PrivateRecord], auth kv.Rev, epoch kv.Epoch) {
	r.auth, r.epoch, r.records = auth, epoch, make(map[string]kv.PrivateRecord)
	for rec := range all {
		r.records[rec.Name] = rec
	}
}

// comparePrivate holds the private records, and what their watcher was told, against the model.
func (w *world) comparePrivate(t *rapid.T, s *machine) {
	want := w.model.Private()
	same(t, "auth revision", s.AuthRev(), w.model.Auth)
	same(t, "private records", slices.Collect(s.PrivateRecords()), want)
	same(t, "private records counted", s.Stats().PrivateRecords, len(want))
	same(t, "auth revision told", s.told.auth, w.model.Auth)
	same(t, "epoch told", s.told.epoch, w.model.Epoch)
	var told []kv.PrivateRecord
	for _, name := range slices.Sorted(maps.Keys(s.told.records)) {
		told = append(told, s.told.records[name])
	}
	same(t, "private records told", told, want)
	for _, rec := range want {
		got, ok := s.Private(rec.Name)
		same(t, "private record "+rec.Name, got, rec)
		same(t, "found", ok, true)
	}
}
