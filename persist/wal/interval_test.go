package wal_test

import (
	"testing"
	"testing/synctest"
	"time"

	"keywatch/persist/disk"
	"keywatch/persist/faultfs"
	"keywatch/persist/wal"
)

// timed returns options with goroutines and segments of 4 KiB on fsys.
func timed(fsys disk.FS, policy wal.SyncPolicy) wal.Options {
	return wal.Options{FS: fsys, SegmentSize: 4 << 10, Sync: policy, Logger: quiet}
}

// Under SyncInterval a write must be durable after the interval, and not before:
// an fsync for each write would make the policy pointless.
func TestIntervalSyncsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustOpen(t, timed(faultfs.New(1), wal.SyncInterval))
		mustStore(t, l, entries(1, 1, 3, 10))
		time.Sleep(99 * time.Millisecond)
		synctest.Wait()
		if got := l.Synced(); got != 0 {
			t.Errorf("after 99 ms: Synced: got %d, want 0", got)
		}
		mustStore(t, l, entries(4, 1, 3, 10))
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if got := l.Synced(); got != 6 {
			t.Errorf("after 101 ms: Synced: got %d, want 6", got)
		}
		mustStore(t, l, entries(7, 1, 3, 10))
		time.Sleep(250 * time.Millisecond)
		synctest.Wait()
		if got := l.Synced(); got != 9 {
			t.Errorf("later: Synced: got %d, want 9", got)
		}
		before := l.Stats()
		time.Sleep(time.Hour)
		synctest.Wait()
		if after := l.Stats(); after != before {
			t.Errorf("an idle log went on working: got %+v, was %+v", after, before)
		}
	})
}

// The checkpoint moves its meta only after SyncThrough: it must not return early.
func TestSyncThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustOpen(t, timed(faultfs.New(1), wal.SyncInterval))
		mustStore(t, l, entries(1, 1, 5, 10))
		if err := l.SyncThrough(3); err != nil || l.Synced() < 3 {
			t.Errorf("SyncThrough(3): got %v, Synced %d", err, l.Synced())
		}
		before := l.Stats().Fsyncs
		if err := l.SyncThrough(3); err != nil || l.Stats().Fsyncs != before {
			t.Errorf("SyncThrough again: got %v and %d fsyncs, want none", err, l.Stats().Fsyncs-before)
		}
		// What a snapshot holds beyond the log is not the log's to sync.
		if err := l.SyncThrough(1000); err != nil {
			t.Errorf("SyncThrough beyond the end: %v", err)
		}
	})
}

// Synced after a conflict must not name entries that were removed.
func TestSyncedFollowsTruncation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustOpen(t, timed(faultfs.New(1), wal.SyncInterval))
		mustStore(t, l, entries(1, 1, 20, 10))
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
		l.DeleteRange(11, 20)
		mustStore(t, l, entries(11, 2, 10, 10))
		if got := l.Synced(); got != 10 {
			t.Errorf("Synced: got %d, want 10", got)
		}
	})
}

// After a second without writes the last one must be named by a mark, and only one.
func TestPauseLeavesOneMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustOpen(t, timed(faultfs.New(1), wal.SyncAlways))
		mustStore(t, l, entries(1, 1, 3, 10))
		time.Sleep(900 * time.Millisecond)
		synctest.Wait()
		if got := l.Stats().Appends; got != 1 {
			t.Errorf("after 0.9 s: got %d groups, want 1", got)
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if got := l.Stats().Appends; got != 2 {
			t.Errorf("after 1.1 s: got %d groups, want 2", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := l.Stats().Appends; got != 2 {
			t.Errorf("after an hour: got %d groups, want 2", got)
		}
	})
}

// A failed fsync in the background must be told to the owner without another call.
func TestBackgroundFailureIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(1)
		opts := timed(fsys, wal.SyncInterval)
		var told error
		opts.Fatal = func(err error) { told = err }
		l := mustOpen(t, opts)
		mustStore(t, l, entries(1, 1, 3, 10))
		synctest.Wait() // the next segment is ready
		fsys.FailAt(1)
		time.Sleep(time.Second)
		synctest.Wait()
		if told == nil || l.Append(entry(4, 1, 1)) != told {
			t.Errorf("told %v, StoreLog then %v", told, l.Append(entry(4, 1, 1)))
		}
	})
}
