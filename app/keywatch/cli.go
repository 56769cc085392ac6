package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	kw "keywatch/client"
)

// commandLine is every command and flag. A flag is also read from the
// environment, as KEYWATCH_ and its name in capitals; the command line wins.
type commandLine struct {
	Server  string        `help:"Address of the server." default:"http://127.0.0.1:7070" placeholder:"URL"`
	Output  string        `help:"How to print: text for people, json for programs." short:"o" enum:"text,json" default:"text" placeholder:"text|json"`
	Timeout time.Duration `help:"How long one request may take, retries included; a watch, a backup, a migration and a benchmark are not bounded." default:"30s"`

	Serve serveCmd `cmd:"" help:"Run the server."`

	Get    getCmd    `cmd:"" help:"Print a value." group:"Keys"`
	Put    putCmd    `cmd:"" help:"Set a value." group:"Keys"`
	Delete deleteCmd `cmd:"" help:"Delete a key or all keys under a prefix." aliases:"del" group:"Keys"`
	Cas    casCmd    `cmd:"" help:"Replace a value only if it is what you think." group:"Keys"`
	List   listCmd   `cmd:"" help:"List keys and values under a prefix." group:"Keys"`
	Batch  batchCmd  `cmd:"" help:"Run checks and operations as one." group:"Keys"`
	Watch  watchCmd  `cmd:"" help:"Print changes as they happen." group:"Keys"`

	Lock   lockCmd   `cmd:"" help:"Run a command while holding a lock." group:"Coordination"`
	Elect  electCmd  `cmd:"" help:"Run a command while leading." group:"Coordination"`
	Lease  leaseCmd  `cmd:"" help:"Grant, renew, show and end leases." group:"Coordination"`
	Mirror mirrorCmd `cmd:"" help:"Keep a folder in step with a prefix." group:"Coordination"`

	Top     topCmd     `cmd:"" help:"Show live rates of the server." group:"Operations"`
	Status  statusCmd  `cmd:"" help:"Print what the server says of itself." group:"Operations"`
	Backup  backupCmd  `cmd:"" help:"Write a backup of the running server to a file." group:"Operations"`
	Restore restoreCmd `cmd:"" help:"Make a new data folder from a backup." group:"Operations"`
	Migrate migrateCmd `cmd:"" help:"Move values to object storage." group:"Operations"`
	Compact compactCmd `cmd:"" help:"Give disk space back while the server runs." group:"Operations"`
	Bench   benchAll   `cmd:"" help:"Measure how fast the server is." group:"Operations"`

	Completion completionCmd `cmd:"" help:"Print a completion script for a shell." group:"Other"`
	Version    versionCmd    `cmd:"" help:"Print the version." group:"Other"`
}

const description = `keywatch keeps keys, changes them with compare-and-swap and tells everyone who watches.

A key that ends in / is a prefix: "get jobs/" lists, "delete jobs/" deletes all
of it, "watch jobs/" watches all of it. Exit codes: 0 done, 1 failed, 2 usage,
3 not found, 4 compare failed, 5 lock not got, 6 lock lost.`

// session is what a command runs with.
type session struct {
	ctx            context.Context // ends at SIGINT and SIGTERM
	cli            *commandLine
	kong           *kong.Kong
	client         *client
	kw             *kw.Client // for what is more than one request
	stdin          io.Reader
	stdout, stderr io.Writer
}

// json reports whether output is for programs.
func (s *session) json() bool { return s.cli.Output == "json" }

// exited carries an exit code out of kong, which wants to end the process
// once it has printed help.
type exited int

// run runs one command and returns its exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exited:
			code = int(r)
		default:
			panic(r)
		}
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var cli commandLine
	parser, err := newParser(&cli, stdout, stderr)
	if err != nil {
		return report(stderr, err)
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return report(stderr, asUsage(err))
	}
	s := &session{ctx: ctx, cli: &cli, kong: parser, stdin: stdin, stdout: stdout, stderr: stderr}
	if needsServer(parsed.Selected().Name) {
		if s.client, err = newClient(cli.Server, cli.Timeout); err != nil {
			return report(stderr, err)
		}
		s.kw = s.client.kw
		defer s.kw.Close()
	}
	return report(stderr, parsed.Run(s))
}

// needsServer reports whether a command talks to a server.
func needsServer(command string) bool {
	switch command {
	case "serve", "restore", "completion", "version":
		return false
	}
	return true
}

func newParser(cli *commandLine, stdout, stderr io.Writer) (*kong.Kong, error) {
	return kong.New(cli,
		kong.Name("keywatch"),
		kong.Description(description),
		kong.DefaultEnvars("KEYWATCH"),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
	)
}

// usageError is a command line that makes no sense; nothing was sent.
type usageError struct {
	message string
	hint    string
}

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// asUsage turns what kong found wrong into a usage error that says where to
// read on.
func asUsage(err error) error {
	e := &usageError{message: err.Error(), hint: "see keywatch --help"}
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if node := parse.Context.Selected(); node != nil {
			e.hint = "see " + helpPath(node) + " --help"
		}
	}
	return e
}

// helpPath returns what shows the help of a command; that of a default command
// is its parent's.
func helpPath(n *kong.Node) string {
	if n.Parent != nil && n.Parent.DefaultCmd == n {
		n = n.Parent
	}
	return n.FullPath()
}
