package hugepages_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"keywatch/app/hugepages"
)

const piece = 2 << 20

// memory maps n pieces, aligned, which the kernel backs by small pages. What is
// beside them cannot be used, so that they are a mapping of their own.
func memory(t *testing.T, n int) []byte {
	t.Helper()
	all, err := unix.Mmap(-1, 0, (n+2)*piece, unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(all) })
	skip := piece - int(uintptr(unsafe.Pointer(&all[0])))&(piece-1)
	b := all[skip : skip+n*piece]
	if err := unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		t.Fatal(err)
	}
	if unasked() {
		if err := unix.Madvise(b, unix.MADV_NOHUGEPAGE); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// unasked reports whether the system gives huge pages to everybody.
func unasked() bool {
	mode, _ := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	return bytes.Contains(mode, []byte("[always]"))
}

// allow takes back that memory shall not be huge, once it is in use. Where no process
// gets huge pages without asking that was not said, and the kernel does not come
// by to move it unasked.
func allow(t *testing.T, b []byte) {
	t.Helper()
	if !unasked() {
		return
	}
	if err := unix.Madvise(b, unix.MADV_HUGEPAGE); err != nil {
		t.Fatal(err)
	}
}

// backed returns how many bytes of b the kernel has there, and how many of them on
// huge pages.
func backed(t *testing.T, b []byte) (there, huge int) {
	t.Helper()
	all, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	head, within := fmt.Sprintf("%x-", uintptr(unsafe.Pointer(&b[0]))), false
	for lines := bufio.NewScanner(bytes.NewReader(all)); lines.Scan(); {
		line := lines.Text()
		if first, _, found := strings.Cut(line, " "); found && strings.Contains(first, "-") {
			within = strings.HasPrefix(line, head)
		}
		var kb int
		if _, err := fmt.Sscanf(line, "Rss: %d kB", &kb); err == nil && within {
			there = kb << 10
		}
		if _, err := fmt.Sscanf(line, "AnonHugePages: %d kB", &kb); err == nil && within {
			huge = kb << 10
		}
	}
	return there, huge
}

// move has everything moved, or skips the test.
func move(t *testing.T, k *hugepages.Keeper) {
	t.Helper()
	err := k.Move()
	if errors.Is(err, hugepages.ErrNotSupported) {
		t.Skip("SKIPPED: this kernel does not move memory to huge pages, so NOTHING OF THAT WAS TESTED")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// If memory that is in use stayed on small pages, or changed while it was moved,
// the package would be of no use, or worse.
func TestDenseMemoryMoves(t *testing.T) {
	const n = 8
	b := memory(t, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	if _, huge := backed(t, b); huge != 0 {
		t.Errorf("%d bytes are huge before anything was moved", huge)
	}
	allow(t, b)
	var k hugepages.Keeper
	move(t, &k)
	if there, huge := backed(t, b); there != len(b) || huge != len(b) {
		t.Errorf("%d bytes are there, %d huge, want %d", there, huge, len(b))
	}
	for i := range b {
		if b[i] != byte(i*7) {
			t.Fatalf("byte %d changed", i)
		}
	}
	if got := k.Bytes(); got < int64(len(b)) {
		t.Errorf("the keeper counts %d bytes, want %d at least", got, len(b))
	}
}

// If memory of which little is in use moved too, a process would grow by what
// its collector has given back.
func TestSparseMemoryStays(t *testing.T) {
	const n, step = 8, 2 * 4096
	b := memory(t, n)
	for i := 0; i < len(b); i += step {
		b[i] = 1
	}
	allow(t, b)
	var k hugepages.Keeper
	move(t, &k)
	if there, huge := backed(t, b); there != len(b)/2 || huge != 0 {
		t.Errorf("%d bytes are there, %d huge, want %d and none", there, huge, len(b)/2)
	}
}

// If Run outlived its context, or stopped while there is nothing to do, a server
// could not stop, or what it writes later stayed on small pages; if it did not heed
// Least, a small store would pay for nothing.
func TestRun(t *testing.T) {
	for name, least := range map[string]int64{"enough": 0, "too little": 1 << 40} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { run(t, least) })
		})
	}
}

func run(t *testing.T, least int64) {
	ctx, cancel := context.WithCancel(context.Background())
	k := hugepages.Keeper{Least: least}
	move(t, &k)
	ended := make(chan struct{})
	go func() { defer close(ended); k.Run(ctx) }()
	time.Sleep(5 * time.Minute)
	b := memory(t, 4)
	for i := range b {
		b[i] = 1
	}
	allow(t, b)
	time.Sleep(5 * time.Minute)
	if _, huge := backed(t, b); (huge == len(b)) != (least == 0) {
		t.Errorf("%d bytes of %d are huge, with at least %d asked for", huge, len(b), least)
	}
	cancel()
	<-ended
}
