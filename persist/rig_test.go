package persist_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keywatch/kv"
	"keywatch/persist"
	"keywatch/persist/faultfs"
	"keywatch/persist/wal"
)

// tight makes ranges and transactions so small that a few keys have many of them.
var tight = persist.Options{
	RangeRecords: 6, TxRecords: 4, SegmentSize: 64 << 10,
	Logger: slog.New(slog.DiscardHandler),
}

// quick is tight without rests.
func quick() persist.Options { return persist.Hooked(tight, nil, nil) }

// conf is the configuration that snapshots are made with.

// A rig is a data folder and a state over it, driven as the cluster drives them, with the
// log on a file system in memory, or beside the checkpoint if fs is nil.
type rig struct {
	t     testing.TB
	dir   string
	opts  persist.Options
	fs    *faultfs.FS
	db    *persist.DB
	state *kv.State
	index uint64
	time  int64
	// memory is kv.StateOptions.MemoryMax.
	memory int64
}

func newRig(t testing.TB, opts persist.Options) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), opts: opts, fs: faultfs.New(1), time: 1000}
	r.open()
	t.Cleanup(func() { r.db.Close(false) })
	return r
}

// open opens the folder, loads the state and replays the log.
func (r *rig) open() {
	r.t.Helper()
	if err := r.tryOpen(); err != nil {
		r.t.Fatalf("open: %v", err)
	}
}

func (r *rig) tryOpen() error {
	if r.fs != nil {
		r.opts.FS = r.fs
	}
	r.opts.LoadPinned = func(ctx context.Context) error { return r.state.LoadPinned(ctx) }
	db, err := persist.Open(r.dir, r.opts)
	if err != nil {
		return err
	}
	r.db = db
	r.state = kv.NewState(kv.StateOptions{Presize: 256, Cold: db, MemoryMax: r.memory})
	meta, err := db.Load(r.state)
	if err != nil {
		db.Close(false)
		return err
	}
	r.index = meta.Index
	last, err := db.Log().LastIndex()
	if err != nil {
		return err
	}
	for i := meta.Index + 1; i <= last; i++ {
		var e wal.Entry
		if err := db.Log().Read(i, &e); err != nil {
			return fmt.Errorf("replay %d: %w", i, err)
		}
		if _, err := r.state.Apply(i, e.Term, e.Data); err != nil {
			return fmt.Errorf("replay %d: %w", i, err)
		}
		r.index = i
	}
	r.time = max(r.time, r.state.Time())
	return nil
}

// do logs and applies an entry.
func (r *rig) do(commands ...*kv.Command) []kv.Result {
	r.t.Helper()
	return r.entry(kv.EncodeEntry(r.time, commands...))
}

func (r *rig) entry(data []byte) []kv.Result {
	r.t.Helper()
	if err := r.store(data); err != nil {
		r.t.Fatal(err)
	}
	results, err := r.state.Apply(r.index, 1, data)
	if err != nil {
		r.t.Fatal(err)
	}
	return results
}

// store logs an entry.
func (r *rig) store(data []byte) error {
	r.index++
	return r.db.Log().Append(&wal.Entry{Index: r.index, Term: 1, Type: wal.Command, Data: data})
}

func (r *rig) params(p kv.Params) {
	r.t.Helper()
	var b kv.EntryBuilder
	b.AddSetup(kv.Setup{Params: p})
	r.entry(b.Finish(r.time))
}

// put and del return commands.
func put(key, value string, ttl time.Duration) *kv.Command {
	return &kv.Command{Ops: []kv.Op{{Kind: kv.OpPut, Key: key, Value: []byte(value), TTL: ttl}}}
}

func del(key string) *kv.Command {
	return &kv.Command{Ops: []kv.Op{{Kind: kv.OpDelete, Key: key}}}
}

// checkpoint makes one as the cluster does.
func (r *rig) checkpoint() error {
	r.t.Helper()
	cp, err := r.state.Freeze()
	if err != nil {
		r.t.Fatal(err)
	}
	return r.db.Checkpoint(cp, r.index, 1, nil)
}

func (r *rig) mustCheckpoint() {
	r.t.Helper()
	if err := r.checkpoint(); err != nil {
		r.t.Fatalf("checkpoint: %v", err)
	}
}

// trimLog removes the log up to the last checkpoint, so that only the checkpoint has it.
func (r *rig) trimLog() {
	r.t.Helper()
	meta, ok := r.db.Meta()
	if !ok {
		return
	}
	if err := r.db.Log().DeleteRange(0, meta.Index); err != nil {
		r.t.Fatal(err)
	}
}

// reopen closes the folder and opens it again.
func (r *rig) reopen() {
	r.t.Helper()
	if err := r.db.Close(true); err != nil {
		r.t.Fatalf("close: %v", err)
	}
	r.open()
}

// copyTo returns a rig on a copy of the folder as it is now, not yet opened.
func (r *rig) copyTo(dir string) *rig {
	r.t.Helper()
	copyFolder(r.t, r.dir, dir)
	return &rig{t: r.t, dir: dir, opts: r.opts, fs: movedFS(r.fs.Crash(faultfs.DropAll), r.dir, dir), time: r.time}
}

// movedFS returns a file system that holds another's files under another folder.
func movedFS(fsys *faultfs.FS, from, to string) *faultfs.FS {
	next := faultfs.New(1)
	for _, name := range fsys.Names() {
		next.SetContent(filepath.Join(to, strings.TrimPrefix(name, from)), fsys.Content(name))
	}
	return next
}

func copyFolder(t testing.TB, from, to string) {
	t.Helper()
	names, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if n.IsDir() || n.Name() == "lock" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(from, n.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, n.Name()), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// dump shows a state: what exists and, if deep is set, what is remembered of deletions.
func dump(t testing.TB, s *kv.State, deep bool) []string {
	t.Helper()
	n, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	st := s.Stats()
	lines := []string{fmt.Sprintf("at %s, time %d, index %d, keys %d, bytes %d, deadlines %d, idem %d, leases %d, locks %d, waiters %d",
		n.Position(), n.Time(), st.Index, st.Keys, st.Bytes, st.Deadlines, st.IdemRecords, st.Leases, st.Locks, st.LockWaiters)}
	if deep {
		lines = append(lines, fmt.Sprintf("floor %d, tombstones", n.Floor()))
	}
	for key, e := range n.Changes("", 0) {
		if e.Deleted() && (!deep || e.Mod <= n.Floor()) {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s=%q mod %d create %d version %d deadline %d %s%s",
			key, e.Value(), e.Mod, e.Create, e.Version, e.Deadline(), e.Cause(), dumpLease(s, e)))
	}
	if auth := s.AuthRev(); auth != 0 {
		lines = append(lines, fmt.Sprintf("auth revision %d", auth))
	}
	for r := range s.PrivateRecords() {
		lines = append(lines, fmt.Sprintf("private %s=%q rev %d", r.Name, r.Value, r.Rev))
	}
	return lines
}

// diff tells the first difference of two dumps, "" if there is none.
func diff(got, want []string) string {
	for i := range max(len(got), len(want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			return fmt.Sprintf("line %d: got %s, want %s", i, g, w)
		}
	}
	return ""
}

func equal(t testing.TB, what string, got, want []string) {
	t.Helper()
	if d := diff(got, want); d != "" {
		t.Fatalf("%s: %s", what, d)
	}
}

func mustMkdir(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

// saveTo copies a stream into a file and returns its length.
func saveTo(t testing.TB, path string, r interface{ Read([]byte) (int, error) }) int64 {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	n, err := f.ReadFrom(r)
	if err = cmp.Or(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return n
}
