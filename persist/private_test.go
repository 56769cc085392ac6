package persist_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/persist"
)

// privateCommand returns a random change of private records.
func (p *play) privateCommand() *kv.Command {
	c := privatePut(p.privateName(), strings.Repeat("s", 1+p.rng.IntN(40)))
	c.Private.Narrow = p.rng.IntN(3) == 0
	if name := p.privateName(); name != c.Private.Puts[0].Name {
		c.Private.Deletes = []string{name}
	}
	return c
}

func (p *play) privateName() string { return fmt.Sprint("cred/", p.rng.IntN(12)) }

// privatePut returns a command that writes one private record.
func privatePut(name, value string) *kv.Command {
	return &kv.Command{Private: &kv.PrivateCommand{Puts: []kv.PrivateRecord{{Name: name, Value: []byte(value)}}}}
}

// If this failed, a restart would forget users and keys, or who may do what.
func TestPrivateRecordsSurviveRestart(t *testing.T) {
	for _, how := range []string{"log", "checkpoint", "second checkpoint", "checkpoint and log", "compaction", "backup"} {
		r := newRig(t, quick())
		for i := range 20 {
			r.do(privatePut(fmt.Sprint("cred/", i), fmt.Sprint("sealed ", i)))
		}
		r.do(&kv.Command{Private: &kv.PrivateCommand{Deletes: []string{"cred/3"}, Narrow: true}})
		if how != "log" {
			r.mustCheckpoint()
			r.trimLog()
		}
		switch how {
		case "second checkpoint": // finds them unchanged
			r.do(put("k", "v", 0))
			r.mustCheckpoint()
			r.trimLog()
		case "checkpoint and log":
			r.do(privatePut("cred/3", "again"), privatePut("user/u-1", "x"))
		case "compaction":
			if err := r.db.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		want := dump(t, r.state, true)
		if how == "backup" {
			state := kv.NewState(kv.StateOptions{Presize: 1})
			path := filepath.Join(t.TempDir(), "backup")
			r.backup(path)
			if _, err := persist.LoadFile(path, state); err != nil {
				t.Fatal(err)
			}
			equal(t, how, dump(t, state, true), want)
		}
		r.reopen()
		equal(t, how, dump(t, r.state, true), want)
		if n := r.state.Stats().PrivateRecords; n < 19 {
			t.Errorf("%s: %d private records, want 19 at least", how, n)
		}
		r.db.Close(false)
	}
}

// If this failed, a restored store would have no users, or refuse what they were allowed.
func TestRestoreBringsPrivateRecords(t *testing.T) {
	r := newRig(t, quick())
	r.do(privatePut("user/u-1", "sealed"))
	r.mustCheckpoint()
	path, dir := filepath.Join(t.TempDir(), "backup"), t.TempDir()
	r.backup(path)
	meta, err := persist.Restore(path, dir, persist.RestoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	state := kv.NewState(kv.StateOptions{Presize: 1})
	if _, err := persist.LoadFile(filepath.Join(dir, persist.CheckpointName), state); err != nil {
		t.Fatal(err)
	}
	rec, ok := state.Private("user/u-1")
	if !ok || string(rec.Value) != "sealed" || state.AuthRev() != meta.Auth || meta.Auth == 0 {
		t.Errorf("got %+v %v, auth revision %d, want the record and revision %d", rec, ok, state.AuthRev(), meta.Auth)
	}
}

// If this failed, a key that should be left out would be valid in a restored store, or no server would
// start on it.
func TestRestoreLeavesPrivateRecordsOut(t *testing.T) {
	for _, kept := range []string{"user/", ""} {
		r := newRig(t, quick())
		for i := range 300 {
			r.do(privatePut(fmt.Sprint("cred/", i), "sealed"), privatePut(fmt.Sprint("user/", i), "sealed"))
		}
		r.mustCheckpoint()
		path, dir := filepath.Join(t.TempDir(), "backup"), t.TempDir()
		r.backup(path)
		keep := func(name string) bool { return kept != "" && strings.HasPrefix(name, kept) }
		if _, err := persist.Restore(path, dir, persist.RestoreOptions{Private: keep}); err != nil {
			t.Fatal(err)
		}
		state := kv.NewState(kv.StateOptions{Presize: 1})
		if _, err := persist.LoadFile(filepath.Join(dir, persist.CheckpointName), state); err != nil {
			t.Fatal(err)
		}
		var names []string
		for rec := range state.PrivateRecords() {
			names = append(names, rec.Name)
		}
		if want := 300 * len(kept) / len("user/"); len(names) != want || slices.ContainsFunc(names, func(n string) bool { return !keep(n) }) {
			t.Errorf("%q: got %d records, want %d", kept, len(names), want)
		}
	}
}

// If this failed, what a checkpoint wrote of private records would stay in the file for good.
func TestOldPrivateRecordsAreTrimmed(t *testing.T) {
	r := newRig(t, quick())
	var sizes []int64
	for i := range 10 {
		for n := range 40 {
			r.do(privatePut(fmt.Sprint("cred/", n), strings.Repeat("x", 300+i)))
		}
		r.mustCheckpoint()
		sizes = append(sizes, r.db.Stats().FileBytes)
	}
	if slices.Max(sizes[5:]) > 2*sizes[4] {
		t.Errorf("the file grows with private records that were replaced: %d", sizes)
	}
}

// If this failed, the release before would not open a folder that has no private records, or
// would open one that has, and serve it without asking who may.
func TestReleaseBeforeRefusesPrivateRecordsOnly(t *testing.T) {
	r := newRig(t, quick())
	for _, private := range []bool{false, true} {
		r.do(put("k", "v", 0))
		if private {
			r.do(privatePut("user/u-1", "sealed"))
		}
		r.mustCheckpoint()
		m, _ := r.db.Meta()
		header, meta := r.db.HeaderVersion(), m.AppendTo(nil)[0]
		if refused := header > 3 && meta > 3; refused != private {
			t.Errorf("private records: %v, header version %d, meta version %d: want the release before, which knows 3, to refuse them: %v",
				private, header, meta, private)
		}
	}
}
