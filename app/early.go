package app

import (
	"context"
	"net"
	"sync"
	"time"

	"keywatch/web"
)

// earlyAfter is how long a start may take before requests are told of it. Those that come before wait, and find
// the server.
const earlyAfter = 500 * time.Millisecond

// answerEarly has requests at ln answered that the server is starting, once that takes long, until end is called.
// Over TLS they wait: the certificate may be in the data folder, which is not open yet.
func (c ServeConfig) answerEarly(ln net.Listener) (end func()) {
	if c.TLS.on() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		select {
		case <-time.After(earlyAfter):
		case <-ctx.Done():
			return
		}
		if err := web.ServeEarly(ctx, ln, c.Logger.With("component", "web")); err != nil {
			c.Logger.Warn("requests wait until the server has started", "err", err)
		}
	})
	return func() { cancel(); running.Wait() }
}
