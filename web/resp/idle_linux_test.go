package resp_test

import (
	"net/netip"
	"runtime"
	"runtime/debug"
	"testing"

	"golang.org/x/sys/unix"
)

// rawDial returns the descriptor of a connection, which costs this process nothing else. It is the caller's.
func (w *world) rawDial() int {
	w.t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	at := netip.MustParseAddrPort(w.addr)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
		w.t.Fatal(err)
	}
	return fd
}

// rawAsk sends a command and reads the reply, which is one byte long at least and arrives whole.
func (w *world) rawAsk(fd int, args ...string) {
	w.t.Helper()
	var b [64]byte
	if _, err := unix.Write(fd, []byte(encode(args...))); err != nil {
		w.t.Fatal(err)
	}
	if n, err := unix.Read(fd, b[:]); err != nil || n == 0 {
		w.t.Fatalf("read %d bytes: %v", n, err)
	}
}

func heapNow() int64 {
	for range 3 { // what pools have kept needs two
		runtime.GC()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// If this failed, ten thousand clients that have each asked and written once would take memory, or
// goroutines, for nothing.
func TestIdleConnectionIsSmall(t *testing.T) {
	const open, most = 400, 512
	w := newWorld(t, inClear)
	fds := make([]int, 0, 50+open)
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}()
	ask := func(n int) {
		for range n {
			fd := w.rawDial()
			fds = append(fds, fd)
			w.rawAsk(fd, "GET", "none")
			w.rawAsk(fd, "SETNX", "k", "v") // by the log, and nothing is kept of it
			w.rawAsk(fd, "STRLEN", "k")
		}
	}
	w.dial().want("SET k v", "+OK")
	ask(50) // what the first ones need is no matter of each
	before, goroutines := heapNow(), runtime.NumGoroutine()
	ask(open)
	after := heapNow()
	t.Logf("an idle connection takes %d bytes", (after-before)/open)
	if each := (after - before) / open; each > most {
		t.Errorf("an idle connection takes %d bytes, want at most %d", each, most)
	}
	if more := runtime.NumGoroutine() - goroutines; more > open/10 {
		t.Errorf("%d idle connections take %d goroutines", open, more)
	}
}
