package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"keywatch/app"
)

// reload has SIGHUP read the configuration again, until ctx ends, and sends what it is then to
// the server. The level of the log changes at once.
func (c *serveCmd) reload(s *session, level *slog.LevelVar, logger *slog.Logger) <-chan app.ServeConfig {
	s.staysAtHangUp.Store(true)
	signals := make(chan os.Signal, 1) // those that ask for a reload; never closed
	signal.Notify(signals, syscall.SIGHUP)
	updates := make(chan app.ServeConfig) // configurations to change to; never closed
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-s.ctx.Done():
				return
			case <-signals:
			}
			next, err := readAgain(s.args)
			if err != nil {
				logger.Error("the configuration cannot be read; nothing was changed", "err", err)
				continue
			}
			send(s.ctx, updates, next.ServeConfig)
			if next.LogFormat != c.LogFormat {
				logger.Warn("cannot be changed without a restart", "flags", []string{"log-format"})
			}
			level.Set(next.LogLevel)
		}
	}()
	return updates
}

func send(ctx context.Context, to chan<- app.ServeConfig, config app.ServeConfig) {
	select {
	case to <- config:
	case <-ctx.Done():
	}
}

// readAgain returns serve as args, the environment and the file have it now.
func readAgain(args []string) (*serveCmd, error) {
	s := &session{cli: new(commandLine), args: args, stdout: &output{os.Stdout}, stderr: new(messages)}
	k, err := newParser(s)
	if err != nil {
		return nil, err
	}
	if _, err := k.Parse(hideNumbers(slices.Clone(args))); err != nil {
		return nil, asUsage(err)
	}
	c := &s.cli.Serve
	c.ServeConfig, err = c.config()
	return c, err
}
