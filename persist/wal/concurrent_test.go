package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"keywatch/persist/disk"
	"keywatch/persist/faultfs"
	"keywatch/persist/wal"
)

// Readers at both ends, a writer, compaction that gives files up and uses them
// again, and syncs must never show an entry that is not the one asked for.
func TestConcurrentUse(t *testing.T) {
	for name, policy := range policies {
		t.Run(name, func(t *testing.T) {
			fsys := disk.OS
			if policy == wal.SyncAlways {
				fsys = faultfs.New(1) // a loaded disk would make this slow
			}
			l, err := wal.Open(t.TempDir(), wal.Options{
				FS: fsys, SegmentSize: 8 << 10, Sync: policy, Logger: quiet,
				Fatal: func(err error) { t.Errorf("the log stopped: %v", err) },
			})
			if err != nil {
				t.Fatal(err)
			}
			var group sync.WaitGroup
			done := make(chan struct{})
			for range 2 {
				group.Go(func() { readUntil(t, l, done) })
			}
			group.Go(func() { compactUntil(t, l, done) })
			for i := range 300 {
				mustStore(t, l, []*wal.Entry{numbered(uint64(i + 1))})
			}
			close(done)
			group.Wait()
			if l.Stats().Rotations < 8 {
				t.Errorf("Stats: got %+v, want more rotations", l.Stats())
			}
			if err := l.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

// numbered returns an entry that says which one it is.
func numbered(index uint64) *wal.Entry {
	e := entry(index, 1, 0)
	e.Data = bytes.Repeat(fmt.Appendf(nil, "%08d ", index), 30)
	return e
}

// readUntil reads the log from its beginning, in order, again and again.
func readUntil(t *testing.T, l *wal.Log, done chan struct{}) {
	for {
		first, _ := l.FirstIndex()
		last, _ := l.LastIndex()
		for i := first; i <= last && i > 0; i++ {
			var e wal.Entry
			err := l.Read(i, &e)
			if now, _ := l.FirstIndex(); errors.Is(err, wal.ErrNotFound) && now > i {
				break
			}
			if err != nil || e.Index != i || !bytes.Equal(e.Data, numbered(i).Data) {
				t.Errorf("Read(%d): got %v %d %.40s", i, err, e.Index, e.Data)
				return
			}
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

// compactUntil keeps the log at some dozen entries and syncs it.
func compactUntil(t *testing.T, l *wal.Log, done chan struct{}) {
	for {
		first, _ := l.FirstIndex()
		last, _ := l.LastIndex()
		if last > first+60 {
			if err := l.DeleteRange(first, last-30); err != nil {
				t.Errorf("DeleteRange: %v", err)
			}
		}
		if err := l.SyncThrough(last); err != nil || l.Synced() < last {
			t.Errorf("SyncThrough(%d): got %v, Synced %d", last, err, l.Synced())
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

// Close beside running writes must end them with ErrClosed, wait for the log's
// goroutines and lose nothing that was acknowledged.
func TestCloseBesideWrites(t *testing.T) {
	path := t.TempDir()
	opts := wal.Options{SegmentSize: 8 << 10, Logger: quiet,
		Fatal: func(err error) { t.Errorf("the log stopped: %v", err) }}
	l, err := wal.Open(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	stored := make(chan uint64, 1)
	half := make(chan struct{})
	go func() {
		for i := uint64(1); ; i++ {
			if err := l.Append(numbered(i)); err != nil {
				if !errors.Is(err, wal.ErrClosed) {
					t.Errorf("StoreLog: got %v, want ErrClosed", err)
				}
				stored <- i - 1
				return
			}
			if i == 100 {
				close(half)
			}
		}
	}()
	<-half
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	want := <-stored
	if l, err = wal.Open(path, opts); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got, _ := l.LastIndex(); got != want {
		t.Errorf("after reopen: got %d entries, want %d", got, want)
	}
}
