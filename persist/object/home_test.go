package object_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/persist/object"
)

// homed returns a Home in the folder root for a state that refers to segments.
func homed(t *testing.T, root string, segments ...object.ID) *object.Home {
	t.Helper()
	store, err := object.OpenDir(root)
	must(t, err)
	live := make(map[kv.SegmentID]kv.Live)
	for _, id := range segments {
		live[kv.SegmentID{Store: uint64(id.Store), Epoch: id.Epoch, Seq: id.Seq}] = kv.Live{Values: 1}
	}
	return &object.Home{Store: store, ID: 7, Segments: func() map[kv.SegmentID]kv.Live { return live }}
}

// If the folder below a mount that did not come up passed for the store, values would be
// moved there and lost behind the mount, and those in the store would be called damaged.
func TestHomeTellsStores(t *testing.T) {
	own, other := object.ID{Store: 7, Epoch: 1, Seq: 1}, object.ID{Store: 9, Epoch: 1, Seq: 2}
	mark := filepath.Join("0000000000000007", "store")
	put := func(t *testing.T, root, name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte(text), 0o600))
	}
	for _, c := range []struct {
		name  string
		made  func(t *testing.T, root string)
		refer []object.ID
		want  error
	}{
		{"new and never used", func(*testing.T, string) {}, nil, nil},
		{"not there, never used", func(t *testing.T, root string) { must(t, os.Remove(root)) }, nil, nil},
		{"own", func(t *testing.T, root string) {
			must(t, homed(t, root).Adopt(t.Context()))
			put(t, root, own.Name(), "x")
		}, []object.ID{own}, nil},
		{"own, used before another", func(t *testing.T, root string) {
			must(t, homed(t, root).Adopt(t.Context()))
			put(t, root, object.ID{Store: 7, Epoch: 1, Seq: 9}.Name(), "x")
		}, []object.ID{own}, object.ErrElsewhere},
		{"of the release before", func(t *testing.T, root string) { put(t, root, own.Name(), "x") }, []object.ID{own}, nil},
		{"of the store that was restored", func(t *testing.T, root string) { put(t, root, other.Name(), "x") }, []object.ID{own, other}, nil},
		{"not there", func(t *testing.T, root string) { must(t, os.Remove(root)) }, []object.ID{own}, object.ErrUnavailable},
		{"empty", func(*testing.T, string) {}, []object.ID{own}, object.ErrElsewhere},
		{"foreign", func(t *testing.T, root string) { put(t, root, other.Name(), "x") }, []object.ID{own}, object.ErrElsewhere},
		{"newer", func(t *testing.T, root string) { put(t, root, mark, "keywatch object store\nlevel 2\nid x\n") }, []object.ID{own}, object.ErrNewer},
		{"newer, never used", func(t *testing.T, root string) { put(t, root, mark, "keywatch object store\nlevel 2\nid x\n") }, nil, object.ErrNewer},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			c.made(t, root)
			h := homed(t, root, c.refer...)
			if err := h.Check(t.Context()); len(c.refer) > 0 && !errors.Is(err, c.want) {
				t.Errorf("Check: got %v, want %v", err, c.want)
			}
			if err := h.Adopt(t.Context()); !errors.Is(err, c.want) {
				t.Errorf("Adopt: got %v, want %v", err, c.want)
			}
			b, err := os.ReadFile(filepath.Join(root, mark))
			before := strings.HasPrefix(c.name, "own")
			if put := err == nil && strings.Contains(string(b), "level 1\nid 0000000000000007"); put != (c.want == nil || before) {
				t.Errorf("Adopt left the mark %q, %v", b, err)
			}
			if _, err := os.Stat(root); c.name == "not there" && err == nil {
				t.Error("a folder that is not there was made")
			}
		})
	}
}

// A readOnly is a store that takes nothing, as a file system that is mounted so.
type readOnly struct{ object.Store }

func (readOnly) Put(context.Context, string, []byte) error {
	return fmt.Errorf("%w: read-only file system", object.ErrUnavailable)
}

// A store that can only be read must serve what is in it, and say why it takes nothing.
func TestHomeThatIsReadOnly(t *testing.T) {
	own := object.ID{Store: 7, Epoch: 1, Seq: 1}
	h := homed(t, t.TempDir(), own)
	must(t, h.Store.Put(t.Context(), own.Name(), []byte("x")))
	h.Store = readOnly{h.Store}
	if err := h.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
	if err := h.Adopt(t.Context()); !errors.Is(err, object.ErrUnavailable) || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("Adopt: got %v, want ErrUnavailable and why", err)
	}
}
