package wal_test

import (
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/persist/faultfs"
	"keywatch/persist/wal"
)

// fillUp stores entries until the log has no room, and returns the next index.
func fillUp(t *testing.T, l *wal.Log) uint64 {
	t.Helper()
	for i := uint64(1); i < 1000; i++ {
		if err := l.Room(); err != nil {
			if !errors.Is(err, wal.ErrNoRoom) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("Room: got %v, want ErrNoRoom and ENOSPC", err)
			}
			return i
		}
		mustStore(t, l, entries(i, 1, 1, 200))
		synctest.Wait() // the next segment is ready, or cannot be
	}
	t.Fatal("the log never ran out of room")
	return 0
}

// A full disk must be reported before it costs anything: what was accepted stays, what is
// on its way still fits, a restart finds all of it, and once there is room again
// the log continues without a restart.
func TestFullDiskIsToldInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(1)
		opts := timed(fsys, wal.SyncAlways)
		opts.Fatal = func(err error) { t.Errorf("the log stopped: %v", err) }
		fsys.Limit(15 << 10) // three segments, not four
		l := mustOpen(t, opts)
		next := fillUp(t, l)
		mustStore(t, l, entries(next, 1, 2, 200))
		next += 2
		if err := l.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}

		l = mustOpen(t, opts)
		same(t, "after a restart", contents(t, l), texts(entries(1, 1, int(next-1), 200)))
		time.Sleep(2 * time.Second)
		if err := l.Room(); !errors.Is(err, wal.ErrNoRoom) {
			t.Errorf("Room after a restart on the full disk: got %v, want ErrNoRoom", err)
		}
		fsys.Limit(40 << 10)
		time.Sleep(1100 * time.Millisecond)
		if err := l.Room(); err != nil {
			t.Errorf("Room a second after there was some: %v", err)
		}
		mustStore(t, l, entries(next, 1, 30, 200))
		same(t, "in the end", contents(t, l), texts(entries(1, 1, int(next+29), 200)))
	})
}

// fillWhole stores entries until the active segment can take no other.
func fillWhole(t *testing.T, l *wal.Log) uint64 {
	t.Helper()
	next := fillUp(t, l)
	for segments := l.Stats().Rotations; ; next++ {
		before := time.Now()
		mustStore(t, l, entries(next, 1, 1, 200))
		if time.Since(before) > 0 || l.Stats().Rotations != segments {
			return next + 1
		}
	}
}

// Who asks for room too late must wait for it and lose nothing.
func TestWriteWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(1)
		opts := timed(fsys, wal.SyncAlways)
		opts.Fatal = func(err error) { t.Errorf("the log stopped: %v", err) }
		fsys.Limit(15 << 10)
		l := mustOpen(t, opts)
		go func() {
			time.Sleep(8 * time.Second)
			fsys.Limit(40 << 10)
		}()
		began := time.Now()
		next := fillWhole(t, l)
		if waited := time.Since(began); waited < 7*time.Second {
			t.Errorf("the write that had no room took %v, want to wait", waited)
		}
		same(t, "in the end", contents(t, l), texts(entries(1, 1, int(next-1), 200)))
	})
}

// A disk that stays full must end the log in bounded time, with its reason, and
// what was acknowledged must be found by the next start.
func TestNoRoomEndsTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(1)
		opts := timed(fsys, wal.SyncAlways)
		var told error
		opts.Fatal = func(err error) { told = err }
		fsys.Limit(15 << 10)
		l := mustOpen(t, opts)
		next, began := fillUp(t, l), time.Now()
		for ; l.Append(entry(next, 1, 200)) == nil; next++ {
		}
		if waited := time.Since(began); !errors.Is(told, syscall.ENOSPC) || waited < 9*time.Second || waited > 11*time.Second {
			t.Errorf("after %v Fatal was told %v, want ENOSPC after 10 s", waited, told)
		}
		opts.FS = fsys.Crash(faultfs.DropAll)
		opts.Fatal = nil
		same(t, "after a restart", contents(t, mustOpen(t, opts)), texts(entries(1, 1, int(next-1), 200)))
	})
}

// Closing must not wait for a disk that is full.
func TestCloseEndsTheWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(1)
		fsys.Limit(15 << 10)
		l := mustOpen(t, timed(fsys, wal.SyncAlways))
		next := fillUp(t, l)
		stored := make(chan error)
		go func() {
			for ; ; next++ {
				if err := l.Append(entry(next, 1, 200)); err != nil {
					stored <- err
					return
				}
			}
		}()
		synctest.Wait()
		began := time.Now()
		go l.Close()
		if err := <-stored; !errors.Is(err, syscall.ENOSPC) || time.Since(began) > time.Second {
			t.Errorf("the write ended with %v after %v, want ENOSPC at once", err, time.Since(began))
		}
	})
}

// Raft writes its term at each start: on a full disk the start must not fail.
func TestStableNeedsNoRoom(t *testing.T) {
	fsys := faultfs.New(1)
	s := mustOpenStable(t, fsys)
	if err := s.SetHard(wal.Hard{Term: 1}); err != nil {
		t.Fatal(err)
	}
	fsys.Limit(0)
	s = mustOpenStable(t, fsys)
	free, _ := fsys.Free(dir)
	fsys.Limit(32 - free) // its 39 bytes fit over the 8 of the spare file only
	if err := s.SetHard(wal.Hard{Term: 2}); err != nil {
		t.Errorf("a write to a full disk: %v", err)
	}
	if got, err := mustOpenStable(t, fsys).Hard(); got != (wal.Hard{Term: 2}) || err != nil {
		t.Errorf("afterwards: got %+v, %v, want term 2", got, err)
	}
}
