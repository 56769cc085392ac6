package app_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/kv"
	"keywatch/persist/object"
)

// A moved is a stopped store whose values are in object storage, its object store, and its backups.
type moved struct{ dir, objects, plain, full string }

func newMoved(t *testing.T) (m moved) {
	t.Helper()
	m = moved{t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "plain"), filepath.Join(t.TempDir(), "full")}
	e := openEngine(t, app.Config{Data: m.dir, ObjectStore: "dir://" + m.objects, SegmentSize: 64 << 10})
	lease, err := e.Store().Grant(t.Context(), "me", time.Hour, kv.Idem{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		op := kv.Op{Kind: kv.OpPut, Key: fmt.Sprintf("k/%03d", i), Value: []byte(bulky("k", uint64(i)))}
		if i%10 == 0 {
			op.Lease = lease.Lease.ID
		}
		if _, err := e.Store().Do(t.Context(), &kv.Command{Ops: []kv.Op{op}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	var plain, full bytes.Buffer
	_, err = e.Backup(t.Context(), &plain)
	must(t, err)
	_, err = e.FullBackup(t.Context(), &full)
	must(t, err)
	must(t, e.Close())
	must(t, os.WriteFile(m.plain, plain.Bytes(), 0o600))
	must(t, os.WriteFile(m.full, full.Bytes(), 0o600))
	return m
}

// everything is what can be asked for.
var everything = app.InspectOptions{Objects: true, Leases: true, Verify: true}

// An operator must see in which segments the values are, whether they are whole, and which leases there
// are, from a folder and from either kind of backup.
func TestInspectObjectsAndLeases(t *testing.T) {
	m := newMoved(t)
	for _, path := range []string{m.dir, m.plain, m.full} {
		x := inspect(t, path, everything)
		values := int64(0)
		for _, o := range x.ObjectSegments {
			if values += o.Values; !o.Verified || o.Records == 0 || o.Size == 0 || o.Bytes == 0 || !strings.HasSuffix(o.Name, ".seg") {
				t.Errorf("%s: got %+v", path, o)
			}
		}
		if values != 100 || len(x.ObjectSegments) < 2 || len(x.Damage) > 0 || x.Full != (path == m.full) || x.Path != path {
			t.Errorf("%s: %d values in %d segments, damage %v, full %v", path, values, len(x.ObjectSegments), x.Damage, x.Full)
		}
		if l := x.LeaseList; len(l) != 1 || l[0].Keys != 10 || l[0].TTLMS != time.Hour.Milliseconds() || l[0].RemainingMS <= 0 || l[0].Caller != "me" || len(l[0].ID) == 0 {
			t.Errorf("%s: leases %+v", path, l)
		}
	}
	// Without --verify nothing is asked of the object store.
	must(t, os.RemoveAll(m.objects))
	if x := inspect(t, m.dir, app.InspectOptions{Objects: true}); len(x.ObjectSegments) < 2 || x.ObjectSegments[0].Verified || x.ObjectSegments[0].Values == 0 {
		t.Errorf("got %+v", x.ObjectSegments)
	}
	if _, err := app.Inspect(t.Context(), m.dir, everything); err == nil {
		t.Error("an object store that is not there passed for whole")
	}
}

// Damage in a segment, and one that is lost, must be found before a key is asked for.
func TestInspectFindsDamagedSegments(t *testing.T) {
	m := newMoved(t)
	names := inspect(t, m.dir, everything).ObjectSegments
	first, second := filepath.Join(m.objects, names[0].Name), filepath.Join(m.objects, names[1].Name)
	flip(t, first, 100)
	must(t, os.Remove(second))
	x := inspect(t, m.dir, everything)
	if len(x.Damage) != 2 || !strings.HasSuffix(x.Damage[0].File, names[0].Name) || !strings.Contains(x.Damage[1].Reason, "lost") {
		t.Errorf("got %+v", x.Damage)
	}
	if x.ObjectSegments[0].Verified || x.ObjectSegments[1].Verified {
		t.Errorf("got %+v", x.ObjectSegments)
	}
}

// A byte that has changed in a full backup must be found where it is in the file, in its checkpoint
// as in its segments; so must one that was cut short, or that lacks a segment.
func TestInspectFindsDamagedFullBackups(t *testing.T) {
	m := newMoved(t)
	whole, err := os.ReadFile(m.full)
	must(t, err)
	image := int64(bytes.LastIndex(whole, []byte("k/050")))
	last := int64(bytes.LastIndex(whole, []byte("KWseg1\r\n")))
	for _, c := range []struct {
		what     string
		at, near int64
	}{{"the head", 17, 0}, {"the checkpoint", image, image}, {"a segment", last + 200, last}} {
		must(t, os.WriteFile(m.full, whole, 0o600))
		flip(t, m.full, c.at)
		x := inspect(t, m.full, everything)
		if len(x.Damage) == 0 || x.Damage[0].File != m.full || x.Damage[0].Offset < max(0, c.near-8192) || x.Damage[0].Offset > c.at {
			t.Errorf("%s, byte %d: got %+v", c.what, c.at, x.Damage)
		}
	}
	must(t, os.WriteFile(m.full, whole[:len(whole)-1000], 0o600))
	if x := inspect(t, m.full, everything); len(x.Damage) == 0 {
		t.Error("a backup that was cut short passed for whole")
	}
	plain, err := os.ReadFile(m.plain)
	must(t, err)
	store, err := object.OpenDir(m.objects)
	must(t, err)
	var without bytes.Buffer
	_, err = object.WriteFull(t.Context(), &without, bytes.NewReader(plain), int64(len(plain)), store, nil)
	must(t, err)
	must(t, os.WriteFile(m.full, without.Bytes(), 0o600))
	if x := inspect(t, m.full, everything); len(x.Damage) < 2 || !strings.Contains(x.Damage[0].Reason, "is not in the backup") {
		t.Errorf("a backup that lacks its segments: got %+v", x.Damage)
	}
}

// flip changes a byte of a file.
func flip(t *testing.T, path string, at int64) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	b[at] ^= 1
	must(t, os.WriteFile(path, b, 0o600))
}
