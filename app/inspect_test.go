package app_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"keywatch/app"
)

// inspected makes a folder with a checkpoint and more in its log, and returns it.
func inspected(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	db, err := app.Open(t.Context(), app.Config{Data: dir, Version: "v1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if _, err := db.Put(t.Context(), "a/"+strconv.Itoa(i%40), []byte("value-"+strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Grant(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Delete(t.Context(), "a/7"); err != nil {
		t.Fatal(err)
	}
	if err := db.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := db.Put(t.Context(), "b", bytes.Repeat([]byte("x"), 500)); err != nil {
			t.Fatal(err)
		}
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel() // so that the last checkpoint is left out, and the log has something
	if err := db.Shutdown(gone); err != nil {
		t.Fatal(err)
	}
	return dir
}

func inspect(t *testing.T, path string, opts app.InspectOptions) *app.Inspection {
	t.Helper()
	x, err := app.Inspect(t.Context(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// An operator who looks into a folder must see what is there, and find it as it was afterwards.
func TestInspect(t *testing.T) {
	dir := inspected(t)
	before := contents(t, dir)
	x := inspect(t, dir, app.InspectOptions{Keys: true, Prefix: "a/1", Log: true, Verify: true})
	if len(x.Damage) > 0 {
		t.Errorf("a whole folder: got %v", x.Damage)
	}
	c := x.Checkpoint
	if c == nil || c.Rev != 101 || c.Records != 40 || c.Live != 40 || c.Leases != 1 || !c.Verified || len(c.Ranges) == 0 {
		t.Errorf("checkpoint: got %+v", c)
	}
	if x.Store == "" || x.Release != "v1.2.3" || x.Log == nil || x.Log.Last <= c.Index || x.Log.LastTerm == 0 || len(x.Log.Segments) == 0 {
		t.Errorf("got %+v", x)
	}
	groups := 0
	for _, s := range x.Log.Segments {
		groups += len(s.Group)
	}
	if groups < 5 {
		t.Errorf("got %d groups", groups)
	}
	if len(x.Keys) != 11 || x.Keys[0].Key != "a/1" || x.Keys[0].Rev != 82 || x.Keys[0].Version != 3 || x.Keys[0].Bytes != 8 {
		t.Errorf("keys: got %d, %+v", len(x.Keys), x.Keys)
	}
	if s := inspect(t, x.Log.Segments[0].File, app.InspectOptions{}); len(s.Log.Segments) != 1 || s.Log.Segments[0].Groups == 0 {
		t.Errorf("a segment alone: got %+v", s.Log)
	}
	if f := inspect(t, c.File, app.InspectOptions{Verify: true}); f.Checkpoint.Rev != 101 || f.Log != nil {
		t.Errorf("a checkpoint alone: got %+v", f)
	}
	if !bytes.Equal(before, contents(t, dir)) {
		t.Error("the folder was changed")
	}
	if _, err := app.Inspect(t.Context(), t.TempDir(), app.InspectOptions{}); err == nil {
		t.Error("an empty folder: got no error")
	}
}

// contents returns what the files of a folder hold.
func contents(t *testing.T, dir string) (all []byte) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if f.IsDir() || f.Name() == "lock" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all = append(append(all, f.Name()...), b...)
	}
	return all
}

// A byte that has changed on the disk must be found, in the file that has it, and near where it
// is.
func TestInspectFindsDamage(t *testing.T) {
	for _, c := range []struct{ file, near string }{{"log-00000001.seg", "xxxx"}, {"checkpoint.db", "value-90"}} {
		dir := inspected(t)
		path := filepath.Join(dir, c.file)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(b, []byte(c.near))
		if at < 0 {
			t.Fatalf("%s does not hold %q", c.file, c.near)
		}
		b[at] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		x := inspect(t, dir, app.InspectOptions{Verify: true})
		if len(x.Damage) != 1 || filepath.Base(x.Damage[0].File) != c.file {
			t.Errorf("%s: got %+v, want one fault in it", c.file, x.Damage)
			continue
		}
		if off := x.Damage[0].Offset; off < 0 || off > int64(at) || off < int64(at)-4096 {
			t.Errorf("%s: got byte %d, want one before %d", c.file, off, at)
		}
	}
}
