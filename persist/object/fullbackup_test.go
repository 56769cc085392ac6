package object_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keywatch/kv"
	"keywatch/persist/object"
)

// fullBackup returns a full backup of two segments, and the store they are in.
func fullBackup(t *testing.T) (b []byte, folder string, ids []object.ID) {
	folder = t.TempDir()
	store, err := object.OpenDir(folder)
	must(t, err)
	other := segmentID
	other.Epoch, other.Seq = 5, 7
	ids = []object.ID{segmentID, other}
	for i, id := range ids {
		segment, _ := build(t, id, items(3+i))
		must(t, object.Upload(t.Context(), store, id, segment))
	}
	var out bytes.Buffer
	n, err := object.WriteFull(t.Context(), &out, strings.NewReader("the image and more"), 9, store, ids)
	must(t, err)
	if n != int64(out.Len()) {
		t.Errorf("%d bytes were written, %d are there", n, out.Len())
	}
	return out.Bytes(), folder, ids
}

// readFull reads everything in a full backup.
func readFull(b []byte) (image string, segments map[object.ID][]byte, err error) {
	w, err := object.OpenFull(bytes.NewReader(b), int64(len(b)))
	if w == nil || err != nil {
		return "", nil, err
	}
	segments = make(map[object.ID][]byte)
	err = w.Segments(func(id object.ID, b []byte) error {
		segments[id] = b
		return nil
	})
	return string(b[w.Image : w.Image+w.Size]), segments, err
}

// If a restored backup differed from what was saved, or one that was cut short or changed
// passed for whole, values would be missed only once they are read.
func TestFullBackup(t *testing.T) {
	b, folder, ids := fullBackup(t)
	image, segments, err := readFull(b)
	if err != nil || image != "the image" || len(segments) != 2 {
		t.Fatalf("got %q, %d segments, %v", image, len(segments), err)
	}
	for _, id := range ids {
		want, err := os.ReadFile(filepath.Join(folder, id.Name()))
		if err != nil || !bytes.Equal(segments[id], want) {
			t.Errorf("segment %s did not come back: %v", id.Name(), err)
		}
	}
	const magic, imageAt = 16, 28
	for i := range b {
		if _, _, err := readFull(b[:i]); !errors.Is(err, object.ErrDamaged) && i >= magic {
			t.Fatalf("cut to %d of %d bytes: %v", i, len(b), err)
		}
		changed := bytes.Clone(b)
		changed[i] ^= 1
		inImage := i >= imageAt && i < imageAt+len("the image") // it has checksums of its own
		if _, _, err := readFull(changed); !errors.Is(err, object.ErrDamaged) && i >= magic && !inImage {
			t.Fatalf("byte %d of %d changed: %v", i, len(b), err)
		}
	}
}

// If a backup could be made without one of its segments, it would not be whole.
func TestFullBackupWithoutSegment(t *testing.T) {
	_, folder, ids := fullBackup(t)
	store, err := object.OpenDir(folder)
	must(t, err)
	write := func(want string) {
		t.Helper()
		_, err := object.WriteFull(t.Context(), new(bytes.Buffer), strings.NewReader("image"), 5, store, ids)
		if !errors.Is(err, object.ErrDamaged) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want one that names %s", err, want)
		}
	}
	name := filepath.Join(folder, ids[1].Name())
	b, err := os.ReadFile(name)
	must(t, err)
	b[len(b)/2] ^= 1
	must(t, os.WriteFile(name, b, 0o600))
	write(ids[1].Name())
	must(t, os.Remove(filepath.Join(folder, ids[0].Name())))
	write(ids[0].Name())
}

// If a segment were deleted while a backup copies it, the backup would fail, or
// never end where segments come and go.
func TestPinnedSegmentsStay(t *testing.T) {
	store, err := object.OpenDir(t.TempDir())
	must(t, err)
	w := newWorld(t, 1, store)
	w.calm = true
	for range 100 {
		w.write()
	}
	w.checkpoint()
	all := func(kv.Resident) bool { return true }
	_, err = w.mover.Move(t.Context(), 0, all)
	must(t, err)
	ids, release, err := w.mover.Pin(t.Context(), func() error { return nil })
	must(t, err)
	if len(ids) == 0 {
		t.Fatal("nothing was moved")
	}
	prefix := kv.Command{Prefix: new(string)}
	w.apply(kv.EncodeEntry(int64(len(w.log)), &prefix))
	clear(w.model)
	w.checkpoint()
	deleted := func() (n int) {
		for range 2 {
			s, err := w.mover.Tidy(t.Context())
			must(t, err)
			n += s.Deleted
		}
		return n
	}
	if n := deleted(); n != 0 {
		t.Errorf("%d segments were deleted while they were pinned", n)
	}
	release()
	release()
	if n := deleted(); n != len(ids) {
		t.Errorf("%d of %d segments were deleted after that", n, len(ids))
	}
	failed := errors.New("failed")
	if _, _, err := w.mover.Pin(t.Context(), func() error { return failed }); err != failed {
		t.Errorf("got %v, want %v", err, failed)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = w.mover.Pin(t.Context(), func() error {
		_, _, err := w.mover.Pin(ended, func() error { return nil })
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a pin within a pin: got %v, want %v", err, context.Canceled)
	}
}
