package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"keywatch/app"
)

// serveCmd runs the server.
type serveCmd struct {
	app.ServeConfig `embed:""`

	LogFormat string     `help:"How to log: text or json." enum:"text,json" default:"text" group:"Operation"`
	LogLevel  slog.Level `help:"Least level to log: debug, info, warn or error." default:"warn" group:"Operation"`

	Config      string `help:"TOML file with the flags' names as keys. The command line and the environment win. SIGHUP reads it again." placeholder:"FILE" group:"Operation"`
	PrintConfig bool   `help:"Print the configuration as such a file, and do not serve." group:"Operation"`
}

// Help is printed by keywatch serve --help.
func (*serveCmd) Help() string {
	return `
Answers HTTP until SIGTERM, SIGINT or SIGHUP. Then it finishes what is in flight,
says goodbye to streams, writes a checkpoint and exits with 0. A second signal ends it
at once. With --drain it serves on for that time first, while clients leave.

Under systemd it may run with Type=notify and WatchdogSec=.

One line on standard output says the addresses and the data folder; the log goes to
standard error. With --log-format=json both are JSON. The log never holds up or ends
the server: when its reader is gone or does not read, lines are dropped, and a later
line says how many.

Each flag of this command is also an environment variable: KEYWATCH_ and its name in
capitals, such as KEYWATCH_LOG_LEVEL. The command line wins. With --config a TOML file has
what neither says:

    listen = "127.0.0.1:8080"
    data = "/var/lib/keywatch"
    memory-max = "2GiB"
    allow-host = ["kv.example.org", ".prod.svc"]

With --config SIGHUP does not end the server but has it read file and environment again. These
change at once: ` + strings.Join(app.Changeable(), ", ") + `, log-level.
The log says what was changed, and which other flags need a restart.

With --tls-cert and --tls-key the server answers over https, with TLS 1.2 or later. It looks at
the files every 10 s, and SIGHUP, which does not end the server then, has it look at once: what
they contain is used for new connections if it can be, else the earlier certificate is, and the
log says why. --tls-self-signed makes a certificate; the line on standard output ends with the
fingerprint to give to keywatch auth login --fingerprint.

Examples:

    keywatch serve
    keywatch serve --listen 127.0.0.1:8080 --data /var/lib/keywatch
    keywatch serve --memory-only
    keywatch serve --config /etc/keywatch.toml
    keywatch serve --listen :7070 --auth on --tls-cert kv.pem --tls-key kv.key
    keywatch serve --print-config > keywatch.toml
    KEYWATCH_FSYNC=interval keywatch serve
`
}

// Run returns when the server has stopped.
func (c *serveCmd) Run(s *session) error {
	level := new(slog.LevelVar)
	level.Set(c.LogLevel)
	logger := c.logger(s, level)
	config, err := c.config()
	if err != nil {
		return err
	}
	if c.PrintConfig {
		return c.printConfig(s)
	}
	if c.Config != "" || config.TLS.TLSCert != "" || config.JWT.JWTKeys != "" {
		config.Updates = c.reload(s, level, logger)
	}
	out := newLogWriter(s.stdout.file)
	defer out.close(s.ctx)
	config.Version, config.Logger, config.HashCommand = version(), logger, hashCommand
	config.Fatal = func(err error) { fatal(logger, err) }
	if !config.MemoryOnly && !filepath.IsAbs(c.Data) && isFresh(config.Data) {
		logger.Warn("the data folder is relative and new: this is a new, empty store; an absolute --data is the same store from every directory", "data", config.Data)
	}
	var at whereabouts
	config.OpsStarted = func(addr net.Addr) { at.ops = addr }
	config.RESPStarted = func(addr net.Addr) { at.redis = config.RESPURL(addr) }
	config.AuthStarted = func() { at.access = true }
	config.TLSStarted = func(fingerprint string) { at.fingerprint = fingerprint }
	return app.Serve(s.ctx, config, func(addr net.Addr) {
		at.main = addr
		c.announce(out, &at, &config)
	})
}

// BeforeApply reads the keys that the environment has, before the configuration is validated with them.
func (c *serveCmd) BeforeApply() error {
	c.AuthKey, c.AdminKey = os.Getenv("KEYWATCH_AUTH_KEY"), os.Getenv("KEYWATCH_ADMIN_KEY")
	return nil
}

// config returns the configuration with the absolute path of the data folder. It fails
// with a usage error.
func (c *serveCmd) config() (config app.ServeConfig, err error) {
	config = c.ServeConfig
	if err := config.Validate(); err != nil {
		return config, &usageError{message: "--" + err.Error(), hint: "see keywatch serve --help"}
	}
	if !config.MemoryOnly {
		config.Data, err = filepath.Abs(config.Data)
	}
	return config, err
}

// isFresh reports whether a data folder has nothing in it yet.
func isFresh(dir string) bool {
	list, err := os.ReadDir(dir)
	return len(list) == 0 && (err == nil || errors.Is(err, fs.ErrNotExist))
}

// whereabouts say how a server that has started is reached.
type whereabouts struct {
	main net.Addr
	// ops is the address for operators, nil for none.
	ops net.Addr
	// redis is where clients of Redis connect, empty for nowhere.
	redis string
	// access says that callers must prove who they are.
	access bool
	// fingerprint is that of a self-signed certificate, else empty.
	fingerprint string
}

// announce says on standard output where the server listens and where its data is.
func (c *serveCmd) announce(out io.Writer, at *whereabouts, config *app.ServeConfig) {
	url := config.TLS.Scheme() + "://" + at.main.String()
	if c.LogFormat == "json" {
		attrs := []any{"url", url, "memory_only", true}
		if !config.MemoryOnly {
			attrs = []any{"url", url, "data", config.Data, "fsync", config.Fsync}
		}
		for _, pair := range at.pairs() {
			attrs = append(attrs, pair[0], pair[1])
		}
		slog.New(slog.NewJSONHandler(out, nil)).Info("serving", attrs...)
		return
	}
	where := "data=" + config.Data + " fsync=" + config.Fsync
	if config.MemoryOnly {
		where = "memory-only"
	}
	for _, pair := range at.pairs() {
		where += " " + pair[0] + "=" + pair[1]
	}
	fmt.Fprintf(out, "keywatch: %s %s\n", url, where)
}

// pairs returns what is said beside the address and the data, each with its name.
func (at *whereabouts) pairs() (all [][2]string) {
	if at.access {
		all = append(all, [2]string{"auth", "on"})
	}
	if at.ops != nil {
		all = append(all, [2]string{"ops", "http://" + at.ops.String()})
	}
	if at.redis != "" {
		all = append(all, [2]string{"resp", at.redis})
	}
	if at.fingerprint != "" {
		all = append(all, [2]string{"tls", at.fingerprint})
	}
	return all
}

// logger returns the logger of the server. If it writes JSON, so does the session.
func (c *serveCmd) logger(s *session, level slog.Leveler) *slog.Logger {
	if c.LogFormat == "json" {
		s.logJSON(level)
		return s.log
	}
	return slog.New(slog.NewTextHandler(s.stderr, &slog.HandlerOptions{Level: level}))
}

// logJSON has everything that goes to standard error be a JSON record, the error that
// ends the command included.
func (s *session) logJSON(level slog.Leveler) {
	s.log = slog.New(slog.NewJSONHandler(s.stderr, &slog.HandlerOptions{Level: level, ReplaceAttr: readable}))
	s.stderr.lost = lostRecord
}

// isServe reports whether a command line that could not be parsed, or was refused, is
// one of serve.
func isServe(err error, parsed *kong.Context) bool {
	var parse *kong.ParseError
	if errors.As(err, &parse) {
		parsed = parse.Context
	}
	return parsed != nil && parsed.Selected() != nil && parsed.Selected().Name == "serve"
}

// readable has JSON show durations and other values as text does, instead of as
// nanoseconds and the fields of Go structs.
func readable(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case time.Time, error:
	case fmt.Stringer:
		a.Value = slog.StringValue(v.String())
	}
	return a
}

// lostRecord is what a JSON log says of lines that were lost.
func lostRecord(n int) []byte {
	return fmt.Appendf(nil, `{"time":%q,"level":"WARN","msg":"log lines were lost here","lines":%d}`+"\n", time.Now().Format(time.RFC3339Nano), n)
}

// fatal ends the process after a failure that it must not survive, as soon as
// waiting callers have been told that their outcome is unknown.
func fatal(logger *slog.Logger, err error) {
	logger.Error("fatal error, exiting; acknowledged writes are safe", "err", err)
	time.AfterFunc(200*time.Millisecond, func() { os.Exit(exitFailed) })
}
