package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// interrupt is why a command's context ended: the signal that asked it to end.
type interrupt struct{ signal syscall.Signal }

func (e *interrupt) Error() string { return "interrupted: " + e.signal.String() }

// endSignals returns the signals that ask a command to end. SIGHUP is not one of
// them under nohup, which starts a program with it ignored.
func endSignals() []os.Signal {
	list := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		list = append(list, syscall.SIGHUP)
	}
	return list
}

// untilSignal returns a context that the first of endSignals ends; its cause is
// an *interrupt. The next one has its usual effect again: it ends the process.
// release stops listening. While stays is set SIGHUP does nothing.
func untilSignal(parent context.Context, stays *atomic.Bool) (ctx context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1) // signals as they arrive; never closed
	signal.Notify(signals, endSignals()...)
	context.AfterFunc(ctx, func() { signal.Stop(signals) })
	go func() {
		for {
			select {
			case sig := <-signals:
				if sig == syscall.SIGHUP && stays.Load() {
					continue
				}
				cancel(interruptedBy(sig))
			case <-ctx.Done():
			}
			return
		}
	}()
	return ctx, func() { cancel(context.Canceled) }
}

func interruptedBy(sig os.Signal) error {
	if sig, ok := sig.(syscall.Signal); ok {
		return &interrupt{sig}
	}
	return fmt.Errorf("interrupted: %v", sig)
}

// outlivePipes turns the death by SIGPIPE into an error of the write. Output and
// log writer say what follows from it. A command that is started has the signal's
// usual effect again.
func outlivePipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
