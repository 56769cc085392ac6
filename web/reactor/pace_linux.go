package reactor

import (
	"time"

	"golang.org/x/sys/unix"
)

// A pace says when a loop that tells many is to let other threads have its processor: the kernel would
// let those who answer requests wait for a whole time slice. The loop has it for as long as they had.
type pace struct {
	back time.Time
	away time.Duration
}

// due reports whether the loop had the processor for as long as others had it before.
func (p *pace) due(now time.Time) bool { return now.Sub(p.back) >= p.away }

// left notes when others had the processor.
func (p *pace) left(from, to time.Time) { p.back, p.away = to, to.Sub(from) }

// giveWay lets threads that wait for this processor have it.
func (l *loop) giveWay() {
	if now := time.Now(); l.pace.due(now) {
		_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		l.pace.left(now, time.Now())
	}
}
