package wal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keywatch/persist/disk"
	"keywatch/persist/wal"
)

// groupSizes are the entries per write that the benchmarks compare.
var groupSizes = []int{1, 16, 128, 1024}

// keepBytes is how much log the benchmarks keep, as a store does between two
// checkpoints.
const keepBytes = 64 << 20

// BenchmarkLogAppend is one fsynced append of n entries of 128 bytes.
func BenchmarkLogAppend(b *testing.B) {
	for _, n := range groupSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l, err := wal.Open(b.TempDir(), wal.Options{Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			appendAll(b, l, n)
			s := l.Stats()
			b.ReportMetric(float64(s.FsyncSum.Microseconds())/float64(s.Fsyncs), "µs/fsync")
			b.ReportMetric(float64(s.Written)/float64(s.Entries), "B/entry")
		})
	}
}

// BenchmarkMemLogAppend is the same without a disk.
func BenchmarkMemLogAppend(b *testing.B) {
	for _, n := range groupSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) { appendAll(b, wal.NewMemLog(), n) })
	}
}

// appendAll appends n entries of 128 bytes an operation, compacting now and then.
func appendAll(b *testing.B, l store, n int) {
	logs := entries(1, 1, n, 128)
	next := uint64(1)
	for b.Loop() {
		next = appendNext(b, l, logs, next)
	}
	b.ReportMetric(float64(next-1)/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkRawPreallocated is what BenchmarkLogAppend is measured against: the same
// bytes written to and fdatasynced in a file that was filled with zeros before.
func BenchmarkRawPreallocated(b *testing.B) {
	for _, n := range groupSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := zeroFile(b, keepBytes)
			defer f.Close()
			buf := make([]byte, wal.GroupHead+n*(wal.EntryHead+128))
			off, written := int64(0), 0
			for b.Loop() {
				off = appendRaw(b, f, buf, off)
				written += n
			}
			b.ReportMetric(float64(written)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// BenchmarkLogBesideRaw takes turns between the two, 50 appends each, so that other
// load on the disk meets both. ratio is the log's throughput over the raw file's.
func BenchmarkLogBesideRaw(b *testing.B) {
	for _, n := range groupSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l, err := wal.Open(b.TempDir(), wal.Options{Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			f := zeroFile(b, keepBytes)
			defer f.Close()
			logs := entries(1, 1, n, 128)
			buf := make([]byte, wal.GroupHead+n*(wal.EntryHead+128))
			var logTime, rawTime time.Duration
			next, off := uint64(1), int64(0)
			for b.Loop() {
				start := time.Now()
				for range 50 {
					next = appendNext(b, l, logs, next)
				}
				middle := time.Now()
				for range 50 {
					off = appendRaw(b, f, buf, off)
				}
				logTime += middle.Sub(start)
				rawTime += time.Since(middle)
			}
			b.ReportMetric(rawTime.Seconds()/logTime.Seconds(), "ratio")
			b.ReportMetric(float64(next-1)/logTime.Seconds(), "log-entries/s")
			b.ReportMetric(float64(next-1)/rawTime.Seconds(), "raw-entries/s")
		})
	}
}

// appendNext appends entries from next on, compacts now and then, and returns the
// index after them.
func appendNext(b *testing.B, l store, logs []*wal.Entry, next uint64) uint64 {
	for _, e := range logs {
		e.Index = next
		next++
	}
	if err := l.Append(logs...); err != nil {
		b.Fatal(err)
	}
	const keep = keepBytes / 160
	if first, _ := l.FirstIndex(); next-first > 2*keep {
		if err := l.DeleteRange(1, next-keep-1); err != nil {
			b.Fatal(err)
		}
	}
	return next
}

// appendRaw writes and syncs at off, or at the beginning where the file ends, and
// returns the place after it.
func appendRaw(b *testing.B, f disk.File, buf []byte, off int64) int64 {
	if off+int64(len(buf)) > keepBytes {
		off = 0
	}
	if _, err := f.WriteAt(buf, off); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	return off + int64(len(buf))
}

// zeroFile returns a file of n zeros that are on disk.
func zeroFile(b *testing.B, n int) disk.File {
	f, err := disk.OS.OpenFile(filepath.Join(b.TempDir(), "raw"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, n), 0); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	return f
}

// BenchmarkLogOpen is a start with 64 MiB of entries of the size given.
func BenchmarkLogOpen(b *testing.B) {
	for _, size := range []int{128, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			path := filled(b, size)
			for b.Loop() {
				l, err := wal.Open(path, wal.Options{Logger: quiet})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				l.Close()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkLogReplay reads 64 MiB of entries in order.
func BenchmarkLogReplay(b *testing.B) {
	for _, size := range []int{128, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			l, err := wal.Open(filled(b, size), wal.Options{Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			last, _ := l.LastIndex()
			b.SetBytes(l.Bytes())
			for b.Loop() {
				var e wal.Entry
				for i := uint64(1); i <= last; i++ {
					if err := l.Read(i, &e); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkLogFirstStart opens a log that does not exist yet.
func BenchmarkLogFirstStart(b *testing.B) {
	root := b.TempDir()
	i := 0
	for b.Loop() {
		i++
		l, err := wal.Open(filepath.Join(root, fmt.Sprint(i)), wal.Options{Logger: quiet})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		l.Close()
		b.StartTimer()
	}
}

// BenchmarkStableSet is one change of raft's term or vote.
func BenchmarkStableSet(b *testing.B) {
	s, err := wal.OpenStable(b.TempDir(), wal.StableOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := s.SetHard(wal.Hard{Term: 7}); err != nil {
			b.Fatal(err)
		}
	}
}

// filled returns the folder of a closed log with 64 MiB of entries.
func filled(b *testing.B, size int) string {
	path := b.TempDir()
	l, err := wal.Open(path, wal.Options{Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	n := max(1, (64<<10)/size)
	for next := uint64(1); l.Bytes() < keepBytes; next += uint64(n) {
		if err := l.Append(entries(next, 1, n, size)...); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}
