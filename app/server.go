package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"keywatch/app/hugepages"
	"keywatch/ratelimit"
	"keywatch/web"
)

// Serve opens the engine that config describes and answers HTTP until ctx ends
// or serving fails. started, if not nil, is called with the address once
// requests are answered. When Serve returns everything is closed; it returns
// nil if it stopped because ctx ended and all went well.
func Serve(ctx context.Context, config ServeConfig, started func(net.Addr)) error {
	config = config.withDefaults()
	if err := config.Validate(); err != nil {
		return err
	}
	defer boundHeap(int64(config.MemoryMax))()
	pages, done := config.keepHuge()
	defer done()
	// The listener first: a port that is in use is found out before any data is
	// touched, and clients that come early wait instead of being refused.
	ln, err := net.Listen("tcp", config.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	engine, err := Open(ctx, config.Config)
	if err != nil && err == ctx.Err() {
		return ln.Close() // it was told to stop before it had started
	}
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	server, err := newServer(config, engine, pages, ln.Addr())
	if err != nil {
		return errors.Join(err, ln.Close(), engine.Close())
	}
	failed := make(chan error, 1) // the end of Serve, sent once
	go func() { failed <- server.Serve(ln) }()
	if started != nil {
		started(ln.Addr())
	}
	select {
	case err = <-failed:
		return errors.Join(err, engine.Close())
	case <-ctx.Done():
	}
	config.Logger.Info("stopping", "grace", config.Grace)
	begun := time.Now()
	// Requests first: new ones are refused, those in flight still find a working store, and
	// streams say goodbye.
	grace, cancel := context.WithTimeout(context.Background(), config.Grace)
	defer cancel()
	err = server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("stop: requests or streams did not end within --grace=%v and were cut off", config.Grace)
	}
	// The engine after everybody who uses it, in what is left of the time.
	rest, cancel := context.WithTimeout(context.Background(), max(config.Grace-time.Since(begun), checkpointLeast))
	defer cancel()
	return errors.Join(err, engine.Shutdown(rest))
}

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

func newServer(config ServeConfig, engine *Engine, pages *hugepages.Keeper, addr net.Addr) (*web.Server, error) {
	proxies, err := config.proxies()
	if err != nil {
		return nil, err
	}
	rates, err := ratelimit.ParseRates(config.RateLimit)
	if err != nil {
		return nil, err
	}
	limiter := ratelimit.New(rates)
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), newCollector(engine),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "keywatch_memory_huge_bytes", Help: "Memory of the process that was moved to huge pages.",
		}, func() float64 { return float64(pages.Bytes()) }))
	return web.New(web.Options{
		Store: engine.Store(), Hub: engine.Hub(),
		Limiter: limiter, RateLoopback: config.RateLoopback,
		Budget:    ratelimit.NewBudget(int64(config.ClientMemory), int64(config.ClientMemoryPerCaller)),
		Listen:    []string{addr.String(), config.Listen},
		AllowHost: config.AllowHost, AllowOrigin: config.AllowOrigin, TrustedProxy: proxies,
		MaxBackups:     config.MaxBackups,
		MaxConnections: config.MaxConnections, MaxStreams: config.MaxWatches, MaxFiles: config.maxFiles(), Heartbeat: config.Heartbeat,
		Durability: engine.Durability(), Ready: engine.Ready, Lag: engine.node.Lag,
		Admin: web.Admin{
			Checkpoint: engine.Checkpoint, Compact: engine.Compact, Migrate: engine.Migrate,
			Backup: engine.Backup, FullBackup: engine.FullBackup, BackupSize: engine.backupSize,
			Status: func() any { return engine.Status() },
		},
		Version: config.Version, Registry: registry, Logger: config.Logger.With("component", "web"),
	})
}
