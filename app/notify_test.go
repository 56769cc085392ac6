package app_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/test/gate"
)

// manager is a service manager that listens.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	gate.Bound(t, conn)
	t.Setenv("NOTIFY_SOCKET", path)
	return &manager{t, conn}
}

// until returns the first datagram that has line, and the lines before it.
func (m *manager) until(line string) (before, with []string) {
	m.t.Helper()
	b := make([]byte, 4<<10)
	for range 10_000 {
		n, err := m.conn.Read(b)
		if err != nil {
			m.t.Fatalf("waiting for %s after %q: %v", line, before, err)
		}
		lines := strings.Split(string(b[:n]), "\n")
		for _, l := range lines {
			if l == line {
				return before, lines
			}
		}
		before = append(before, lines...)
	}
	m.t.Fatalf("%s did not come", line)
	return nil, nil
}

// ignore reads what still comes, until the test ends.
func (m *manager) ignore() {
	b := make([]byte, 4<<10)
	for {
		if _, err := m.conn.Read(b); err != nil {
			return
		}
	}
}

// A unit of Type=notify that hears nothing is killed while it starts, one that is not fed is
// restarted while it works, and one whose stop takes longer than the default is killed.
func TestNotify(t *testing.T) {
	m := newManager(t)
	t.Setenv("WATCHDOG_USEC", "2000")
	t.Setenv("WATCHDOG_PID", "")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	config := app.ServeConfig{Config: app.Config{MemoryOnly: true}, Listen: "127.0.0.1:0"}
	go func() { done <- app.Serve(ctx, config, nil) }()
	before, with := m.until("READY=1")
	if len(before) == 0 || before[0] != "EXTEND_TIMEOUT_USEC=30000000" {
		t.Errorf("while it starts: got %q, want more time", before)
	}
	if len(with) != 2 || !strings.HasPrefix(with[1], "STATUS=serving at http://127.0.0.1:") {
		t.Errorf("when it is ready: got %q", with)
	}
	m.until("WATCHDOG=1")
	m.until("WATCHDOG=1")
	stop()
	// Ten seconds of grace, one for the checkpoint, and some for a disk that does not answer.
	if _, with := m.until("STOPPING=1"); len(with) != 3 || with[2] != "EXTEND_TIMEOUT_USEC=20000000" {
		t.Errorf("when it stops: got %q", with)
	}
	go m.ignore()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A service manager that hangs must not keep the server from stopping.
func TestNotifyOfDeafManager(t *testing.T) {
	m := newManager(t)
	t.Setenv("WATCHDOG_USEC", "2000")
	t.Setenv("WATCHDOG_PID", "")
	ctx, stop := context.WithCancel(t.Context())
	config := app.ServeConfig{Config: app.Config{MemoryOnly: true}, Listen: "127.0.0.1:0"}
	fillAndStop := func(net.Addr) {
		m.fill()
		stop()
	}
	if err := app.Serve(ctx, config, fillAndStop); err != nil {
		t.Error(err)
	}
}

// fill sends datagrams that are not read until there is no room for another.
func (m *manager) fill() {
	conn, err := net.DialUnix("unixgram", nil, m.conn.LocalAddr().(*net.UnixAddr))
	if err != nil {
		m.t.Error(err)
		return
	}
	defer conn.Close()
	for err == nil {
		_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		_, err = conn.Write([]byte("x"))
	}
}

// A watchdog that was set for another process, such as a wrapper, must not be fed by this one.
func TestNotifyOfAnotherProcess(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "2000")
	t.Setenv("WATCHDOG_PID", "1")
	if d := app.WatchdogTime(); d != 0 {
		t.Errorf("got %v, want none", d)
	}
	t.Setenv("WATCHDOG_PID", "")
	if d := app.WatchdogTime(); d.Milliseconds() != 2 {
		t.Errorf("got %v, want 2ms", d)
	}
}
