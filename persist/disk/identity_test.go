package disk_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/persist/disk"
	"keywatch/persist/faultfs"
)

const (
	dir  = "data"
	path = dir + "/" + disk.StoreFile
)

// storeFile returns the content of the file that id is written to.
func storeFile(t *testing.T, id disk.Identity) []byte {
	t.Helper()
	fsys := faultfs.New(1)
	if err := id.Write(fsys, dir); err != nil {
		t.Fatal(err)
	}
	return fsys.Content(path)
}

// with returns a file system that holds a store file.
func with(b []byte) *faultfs.FS {
	fsys := faultfs.New(1)
	fsys.SetContent(path, b)
	return fsys
}

// What is written must be read again, whatever it holds.
func TestIdentityIsKept(t *testing.T) {
	if _, ok, err := disk.ReadIdentity(faultfs.New(1), dir); ok || err != nil {
		t.Errorf("a folder without a store file: got %v, %v, want none", ok, err)
	}
	for _, want := range []disk.Identity{
		{Level: 1, Store: disk.NewStoreID()},
		{Level: disk.Level, Store: 7, Release: "1.2.3", Objects: "s3://bucket/a b?region=x"},
	} {
		got, ok, err := disk.ReadIdentity(with(storeFile(t, want)), dir)
		if err != nil || !ok || got.Level != want.Level || got.Store != want.Store || got.Release != want.Release || got.Objects != want.Objects {
			t.Errorf("got %+v, %v, %v, want %+v", got, ok, err, want)
		}
	}
}

// If lines of a later release were dropped when the file is written again, that release
// would miss them.
func TestIdentityKeepsUnknownLines(t *testing.T) {
	b := storeFile(t, disk.Identity{Level: disk.Level, Store: 7, Objects: "x\nnode 5 of 3"})
	b = disk.Resummed(bytes.Replace(b, []byte("objects x node 5 of 3"), []byte("node 5 of 3"), 1))
	id, ok, err := disk.ReadIdentity(with(b), dir)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	id.Objects = "dir:///x"
	if again := string(storeFile(t, id)); !strings.Contains(again, "\nnode 5 of 3\n") || !strings.Contains(again, "\nobjects dir:///x\n") {
		t.Errorf("written again:\n%s", again)
	}
}

// A store file that is not whole must be told, since another id makes every file foreign.
func TestIdentityFindsDamage(t *testing.T) {
	b := storeFile(t, disk.Identity{Level: disk.Level, Store: 7, Release: "1.2.3"})
	for i := range b {
		for _, damaged := range [][]byte{b[:i], append(append(bytes.Clone(b[:i]), b[i]^1), b[i+1:]...)} {
			if _, _, err := disk.ReadIdentity(with(damaged), dir); !errors.Is(err, kv.ErrDamaged) || !strings.Contains(err.Error(), path) {
				t.Errorf("damaged at %d of %d: got %v, want a DamageError", i, len(b), err)
			}
		}
	}
}

// A folder of a later release must be called so, by the release's name.
func TestIdentityOfALaterRelease(t *testing.T) {
	b := storeFile(t, disk.Identity{Level: disk.Level + 1, Store: 7, Release: "9.1"})
	if _, _, err := disk.ReadIdentity(with(b), dir); !errors.Is(err, disk.ErrNewer) || !strings.Contains(err.Error(), "keywatch 9.1") {
		t.Errorf("got %v, want ErrNewer with the release", err)
	}
}

// Replacing the file must leave the old one or the new one, whatever the power does.
func TestIdentitySurvivesPowerCut(t *testing.T) {
	first, second := disk.Identity{Level: disk.Level, Store: 7}, disk.Identity{Level: disk.Level, Store: 7, Objects: "dir:///x"}
	for _, loss := range []faultfs.Loss{faultfs.DropSome, faultfs.DropAll, faultfs.DropNone} {
		for at := 1; ; at++ {
			fsys := faultfs.New(uint64(at))
			if err := first.Write(fsys, dir); err != nil {
				t.Fatal(err)
			}
			fsys.CutAt(at)
			err := second.Write(fsys, dir)
			id, ok, rerr := disk.ReadIdentity(fsys.Crash(loss), dir)
			if rerr != nil || !ok || id.Store != 7 || err == nil && id.Objects != second.Objects {
				t.Errorf("loss %d, cut at %d (%v): got %+v, %v, %v", loss, at, err, id, ok, rerr)
			}
			if err == nil {
				if at < 4 {
					t.Errorf("the power was cut in %d operations only: the test proves little", at)
				}
				break
			}
		}
	}
}
