package app

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A notifier tells the service manager that started the process how it does, as sd_notify(3)
// does: by a datagram to the socket in NOTIFY_SOCKET. A nil notifier does nothing. It is safe
// for concurrent use.
type notifier struct {
	conn   *net.UnixConn
	logger *slog.Logger
	// watchdog is how often the manager must hear from the process; 0 is never.
	watchdog time.Duration
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// startExtend is how much time a start asks for, again every startEvery, while it applies the
// log: how long that takes depends on the log.
const (
	startExtend = 30 * time.Second
	startEvery  = 10 * time.Second
)

// openNotifier returns a notifier as the environment says, nil if there is no service manager
// that listens. It asks for more time until ready is called.
func openNotifier(logger *slog.Logger) *notifier {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		logger.Warn("cannot reach the service manager", "NOTIFY_SOCKET", path, "err", err)
		return nil
	}
	n := &notifier{conn: conn, logger: logger, watchdog: watchdogTime()}
	n.every(startEvery, func() { n.send(extend(startExtend)) })
	return n
}

// watchdogTime returns how often the service manager must hear from this process, 0 for never.
func watchdogTime() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0 // it means another process
	}
	us, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || us <= 0 {
		return 0
	}
	return time.Duration(us) * time.Microsecond
}

func extend(d time.Duration) string {
	return fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds())
}

// ready tells that requests are answered. From then on alive is called twice in each time of
// the watchdog; where it does not return, the manager hears nothing and restarts the process.
func (n *notifier) ready(status string, alive func()) {
	if n == nil {
		return
	}
	n.halt()
	n.send("READY=1", "STATUS="+status)
	if n.watchdog > 0 {
		n.every(n.watchdog/2, func() {
			alive()
			n.send("WATCHDOG=1")
		})
	}
}

// stopping tells that the process ends within d.
func (n *notifier) stopping(d time.Duration) {
	if n == nil {
		return
	}
	n.send("STOPPING=1", "STATUS=stopping", extend(d))
}

// close ends what runs and closes the socket.
func (n *notifier) close() {
	if n == nil {
		return
	}
	n.halt()
	_ = n.conn.Close()
}

// every calls do at once and then each interval, until halt.
func (n *notifier) every(interval time.Duration, do func()) {
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	n.running.Go(func() {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			do()
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
}

func (n *notifier) halt() {
	n.stop()
	n.running.Wait()
}

// sendTimeout bounds a datagram to a manager that does not read.
const sendTimeout = 100 * time.Millisecond

// send sends lines as one datagram. What does not arrive is not missed: the manager has its
// own clock.
func (n *notifier) send(lines ...string) {
	_ = n.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	if _, err := n.conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		n.logger.Debug("cannot tell the service manager", "err", err)
	}
}
