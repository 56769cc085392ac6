package e2e_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// smallDisk makes a file system in memory of so many MiB and returns its folder
// and what changes its size.
func smallDisk(t *testing.T, mib int) (dir string, resize func(mib int)) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		gate.Missing(t, "a disk that is really full needs the right to mount one: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, func(mib int) {
		t.Helper()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%dm", mib)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSmallDiskLastsForSmallState: keys that are written again and again do not fill
// a disk that has room for them, though what is written is larger than the disk:
// when the log is short of room a checkpoint is made, however early. Who is faster
// than the checkpoint is refused for a moment at most.
func TestSmallDiskLastsForSmallState(t *testing.T) {
	t.Parallel()
	disk, _ := smallDisk(t, 160)
	s := serve(t, "--data", filepath.Join(disk, "data"))
	cl := newClient(t, s)
	values := make(map[string]string)
	refused := 0
	for i := range 2500 {
		key := fmt.Sprintf("again/%d", i%50)
		values[key] = strings.Repeat(fmt.Sprintf("%9d|", i), 10_000)
		for ctx := gate.Context(t); cl.Must(t, load.PutCall(key, values[key]), 200, 201, 503).Status == 503; load.Pause(ctx) {
			if refused++; ctx.Err() != nil {
				t.Fatalf("the disk is full of what was written %d times over", i/50)
			}
		}
	}
	t.Logf("%d writes were refused at first", refused)
	checkValues(t, s, values)
	s.stop(t)
}

// checkFull checks that s serves and watches all values but refuses writes
// because its disk is full.
func checkFull(t *testing.T, s *server, values map[string]string) {
	t.Helper()
	cl := newClient(t, s)
	a := cl.Must(t, load.PutCall("more", "x"), 200, 201, 503)
	for ctx := gate.Context(t); a.Status != 503 && ctx.Err() == nil; load.Pause(ctx) {
		a = cl.Must(t, load.PutCall("more", "x"), 200, 201, 503) // after a start it takes a second to see
	}
	if p := a.Problem(); p.Code != "disk_full" || a.Header.Get("Retry-After") == "" || !strings.Contains(a.Body, "bytes are free") {
		t.Errorf("a write to a full disk: %v %s, want disk_full, when to come again, and what is missing", a.Header, a.Body)
	}
	cl.Must(t, load.Call{Method: "GET", Path: "/readyz"}, 200)
	if status := cl.Must(t, load.Call{Method: "GET", Path: "/v1/status"}, 200).Body; !strings.Contains(status, `"no_room":"`) {
		t.Errorf("status does not say that the disk is full: %s", status)
	}
	checkValues(t, s, values)
	stream, err := cl.Watch(gate.Context(t), "/v1/watch?prefix=full/", "")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for seen := 0; ; {
		ev, err := stream.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ev.Name == "put" {
			seen++
		}
		if ev.Name == "synced" {
			if seen != len(values) {
				t.Errorf("a watch of a full disk shows %d keys, want %d", seen, len(values))
			}
			return
		}
	}
}

func checkValues(t *testing.T, s *server, values map[string]string) {
	t.Helper()
	cl := newClient(t, s)
	for key, want := range values {
		if a := cl.Must(t, load.GetCall(key), 200); a.Body != want {
			t.Fatalf("%s has %d bytes that are not those acknowledged", key, len(a.Body))
		}
	}
}

// TestFullDisk: a disk that is really full stops writes, with the reason, and
// nothing else: what was acknowledged is served and watched, also after a kill and
// a start on the full disk, a stop in order ends in time, and once there is room
// writes are accepted again without help.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk, resize := smallDisk(t, 48)
	dir := filepath.Join(disk, "data")
	s := serve(t, "--data", dir)
	cl := newClient(t, s)
	values := make(map[string]string)
	for i := 0; ; i++ {
		key, value := fmt.Sprintf("full/%d", i), strings.Repeat(fmt.Sprintf("%9d|", i), 10_000)
		if a := cl.Must(t, load.PutCall(key, value), 201, 503); a.Status == 503 {
			break
		}
		values[key] = value
	}
	if len(values) < 50 {
		t.Fatalf("48 MiB were full with %d values of 100 kB", len(values))
	}
	checkFull(t, s, values)

	s.kill()
	s = serve(t, "--data", dir)
	checkFull(t, s, values)

	s.signal(t)
	select { // its last checkpoint had no room: the code does not matter
	case <-s.exited:
	case <-gate.Context(t).Done():
		t.Fatal("the server does not stop on a full disk")
	}
	s = serve(t, "--data", dir)
	checkFull(t, s, values)

	resize(256)
	cl = newClient(t, s)
	for ctx := gate.Context(t); cl.Must(t, load.PutCall("more", "x"), 200, 201, 503).Status == 503; load.Pause(ctx) {
		if ctx.Err() != nil {
			t.Fatal("there is room, but writes are refused")
		}
	}
	checkValues(t, s, values)
	s.stop(t)
	checkValues(t, serve(t, "--data", dir), values)
}
