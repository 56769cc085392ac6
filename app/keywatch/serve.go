package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"keywatch/app"
)

// serveCmd runs the server.
type serveCmd struct {
	app.ServeConfig `embed:""`

	LogFormat string     `help:"How to log: text or json." enum:"text,json" default:"text"`
	LogLevel  slog.Level `help:"Least level to log: debug, info, warn or error." default:"warn"`
}

// Help is what `keywatch serve --help` prints beside the flags.
func (*serveCmd) Help() string {
	return `Answers HTTP until it is told to stop by SIGTERM or SIGINT; then it finishes
what is in flight, says goodbye to streams, writes a checkpoint and exits with 0.
A second signal ends it at once.

Examples:

  keywatch serve
  keywatch serve --listen 127.0.0.1:8080 --data /var/lib/keywatch
  keywatch serve --memory-only
  KEYWATCH_FSYNC=interval keywatch serve`
}

// Run returns when the server has stopped.
func (c *serveCmd) Run(s *session) error {
	config := c.ServeConfig
	config.Version = version()
	config.Logger = c.logger(s.stderr)
	config.Fatal = func(err error) { fatal(config.Logger, err) }
	context.AfterFunc(s.ctx, func() { signal.Reset(syscall.SIGINT, syscall.SIGTERM) })
	return app.Serve(s.ctx, config, func(addr net.Addr) {
		where := "data=" + config.Data + " fsync=" + config.Fsync
		if config.MemoryOnly {
			where = "memory-only"
		}
		fmt.Fprintf(s.stdout, "keywatch: http://%s %s\n", addr, where)
	})
}

func (c *serveCmd) logger(w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// fatal ends the process after a failure that it must not survive, as soon as
// those who wait have been told that their outcome is unknown.
func fatal(logger *slog.Logger, err error) {
	logger.Error("keywatch cannot go on and ends; what was acknowledged is safe", "err", err)
	time.AfterFunc(200*time.Millisecond, func() { os.Exit(1) })
}
