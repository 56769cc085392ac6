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
// A certificate that is to be in the data folder is made then: the engine has opened the folder by that time, or
// was refused.
func (c ServeConfig) answerEarly(ln net.Listener, certs *certOpener) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		select {
		case <-time.After(earlyAfter):
		case <-ctx.Done():
			return
		}
		keeper, err := certs.get()
		if err == nil {
			err = web.ServeEarly(ctx, ln, keeper.config(), c.Logger.With("component", "web"))
		}
		if err != nil {
			c.Logger.Warn("requests wait until the server has started", "err", err)
		}
	})
	return func() { cancel(); running.Wait() }
}
