package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"keywatch/app/hugepages"
	"keywatch/auth"
	"keywatch/auth/audit"
	"keywatch/ratelimit"
	"keywatch/web"
)

// Serve opens the engine that config describes and answers HTTP until ctx ends
// or serving fails. started, if not nil, is called with the address once
// requests are answered. When Serve returns everything is closed; it returns
// nil if it stopped because ctx ended and all went well. A service manager that
// listens at NOTIFY_SOCKET is told how it does.
func Serve(ctx context.Context, config ServeConfig, started func(net.Addr)) error {
	config = config.withDefaults()
	if err := config.Validate(); err != nil {
		return err
	}
	s := &service{config: config}
	defer s.close()
	if err := s.prepare(); err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	if err := s.open(ctx); err != nil || s.live == nil {
		return err
	}
	s.announce()
	return s.run(ctx, started)
}

// errNotStopped is why a process ends that was told to stop: what it waits for is a disk that does not answer.
var errNotStopped = errors.New("stop: the disk does not answer, and the server has not stopped")

// stop ends server and then engine, within the times that the configuration gives.
func (c ServeConfig) stop(server *web.Server, engine *Engine) error {
	if c.Drain > 0 {
		c.Logger.Info("draining", "drain", c.Drain)
		// Leadership first: who is sent away finds a leader elsewhere.
		engine.handOver()
		server.Drain(context.Background(), c.Drain)
	}
	c.Logger.Info("stopping", "grace", c.Grace)
	begun := time.Now()
	// Leadership before all else: writes wait for the next leader meanwhile, and are answered here.
	engine.handOver()
	// Requests first: new ones are refused, those in flight still find a working store, and
	// streams say goodbye.
	grace, cancel := context.WithTimeout(context.Background(), c.Grace)
	defer cancel()
	err := server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("stop: requests or streams did not end within --grace=%v and were cut off", c.Grace)
	}
	// The engine after everybody who uses it, in what is left of the time.
	rest, cancel := context.WithTimeout(context.Background(), max(c.Grace-time.Since(begun), checkpointLeast))
	defer cancel()
	return errors.Join(err, engine.Shutdown(rest))
}

// stopSpare is what a stop may take beside --drain and --grace, as the service manager is told. After that the process ends:
// requests and the last checkpoint were given up long before.
const stopSpare = checkpointLeast + 9*time.Second

// checkpointLeast is how long the last checkpoint may take where requests took all the
// time there was for a stop.
const checkpointLeast = time.Second

// hugeLeast is how much memory must be in use before it is moved to huge pages: with
// less, what a read misses is in the processor's caches anyway.
const hugeLeast = 256 << 20

// keepHuge has this process's memory moved to huge pages until done is called.
func (c ServeConfig) keepHuge() (pages *hugepages.Keeper, done func()) {
	pages = &hugepages.Keeper{Least: hugeLeast}
	if c.HugePages == "off" {
		return pages, func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { pages.Run(ctx) })
	return pages, func() { cancel(); run.Wait() }
}

// newRegistry returns what /metrics shows before there is a store.
func (c ServeConfig) newRegistry(pages *hugepages.Keeper) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "keywatch_memory_huge_bytes", Help: "Memory of the process that was moved to huge pages.",
		}, func() float64 { return float64(pages.Bytes()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "keywatch_build_info", Help: "Always 1; the labels say which program runs.",
			ConstLabels: prometheus.Labels{"version": c.Version, "goversion": runtime.Version()},
		}, func() float64 { return 1 }))
	return registry
}

// newServer returns the server, of which live gets what can be changed.
func newServer(config ServeConfig, live *live, registry *prometheus.Registry, events *audit.Log, addr net.Addr) (*web.Server, error) {
	engine := live.engine
	proxies, err := config.proxies()
	if err != nil {
		return nil, err
	}
	rates, err := ratelimit.ParseRates(config.RateLimit)
	if err != nil {
		return nil, err
	}
	logins, err := config.loginRate()
	if err != nil {
		return nil, err
	}
	live.limiter, live.budget = ratelimit.New(rates), ratelimit.NewBudget(int64(config.ClientMemory), int64(config.ClientMemoryPerCaller))
	registry.MustRegister(newCollector(engine))
	engine.access.registerTokens(registry)
	var table, until *auth.Table
	var accounts *auth.Registry
	switch {
	case engine.access.on:
		table, accounts = engine.access.table, engine.access.registry
	case !engine.alone(): // others can make users
		until = engine.access.table
	}
	live.server, err = web.New(web.Options{
		Auth: table, OpenUntil: until, Accounts: accounts, LoginRate: logins, Audit: events, AuditWrites: config.AuditWrites,
		Store: engine.Store(), Hub: engine.Hub(), TLS: live.certs.config(), RESPInClear: config.RESPPlaintext,
		Tracer: config.Tracer, Limiter: live.limiter, RateLoopback: config.RateLoopback, RESPEscape: config.RESPKeys == "escape",
		Budget:    live.budget,
		Listen:    []string{addr.String(), config.Listen},
		AllowHost: config.AllowHost, AllowOrigin: config.AllowOrigin, TrustedProxy: proxies,
		Goroutines:     config.EventLoops == "off",
		MaxBackups:     config.MaxBackups,
		MaxConnections: config.MaxConnections, MaxStreams: config.MaxWatches, MaxFiles: config.maxFiles(), Heartbeat: config.Heartbeat,
		Durability: engine.Durability(), Ready: engine.Ready, Serving: engine.Serving, Leader: engine.leads, Lag: engine.node.Lag,
		Cluster: engine.webCluster(),
		Admin: web.Admin{
			Checkpoint: engine.Checkpoint, Compact: engine.Compact, Migrate: engine.Migrate,
			Backup: engine.Backup, FullBackup: engine.FullBackup, BackupSize: engine.backupSize,
			Status: func() any { return engine.Status() },
		},
		Version: config.Version, Registry: registry, Logger: config.Logger.With("component", "web"),
	})
	return live.server, err
}
