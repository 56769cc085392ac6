package app

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keywatch/web"
)

// An ops is the operator's listener. A nil ops does nothing.
type ops struct {
	server  *web.Ops
	running sync.WaitGroup
}

// openOps listens where OpsListen says; it returns nil if that is empty.
func (c ServeConfig) openOps(registry *prometheus.Registry) (*ops, error) {
	if c.OpsListen == "" {
		return nil, nil
	}
	logger := c.Logger.With("component", "ops")
	server, err := web.NewOps(web.OpsOptions{Registry: registry, AllowHost: c.AllowHost, Logger: logger})
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", c.OpsListen)
	if err != nil {
		return nil, fmt.Errorf("ops-listen: %w", err)
	}
	o := &ops{server: server}
	o.running.Go(func() {
		if err := server.Serve(ln); err != web.ErrServerClosed {
			logger.Error("the operator's listener has failed", "err", err)
		}
	})
	if c.OpsStarted != nil {
		c.OpsStarted(ln.Addr())
	}
	return o, nil
}

// attach has the listener tell whether server is ready.
func (o *ops) attach(server *web.Server) {
	if o != nil {
		o.server.Attach(server)
	}
}

// opsGrace is how long a scrape or a profile may take once all else has ended.
const opsGrace = time.Second

func (o *ops) close() {
	if o == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), opsGrace)
	defer cancel()
	_ = o.server.Close(ctx)
	o.running.Wait()
}

// allowHosts has requests for profiles name other hosts from now on.
func (o *ops) allowHosts(hosts []string) error {
	if o == nil {
		return nil
	}
	return o.server.AllowHosts(hosts)
}
