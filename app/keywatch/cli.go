package main

import (
	"context"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alecthomas/kong"

	kw "keywatch/client"
)

// commandLine is every command and flag. The flags of all commands and those of
// serve are also read from the environment, as KEYWATCH_ and the name in capitals;
// the command line wins. Flags of one call are not, so that an exported variable
// never changes what another call does.
type commandLine struct {
	Server  string        `help:"Address of the server, or of several of one cluster with commas between: the next is asked while one fails." default:"http://127.0.0.1:7070" placeholder:"URL"`
	Output  string        `help:"How to print: text for people, json for programs; errors and messages too." short:"o" enum:"text,json" default:"text" placeholder:"text|json"`
	Timeout time.Duration `help:"How long one request may take, retries included. A watch, a backup, a migration, a compaction and a benchmark have no bound." default:"30s"`
	tokenFlags
	tlsFlags
	Info versionFlag `name:"version" help:"Print the version."`

	Serve serveCmd `cmd:"" help:"Run the server."`

	Get    getCmd    `cmd:"" help:"Print a value." group:"Keys"`
	Put    putCmd    `cmd:"" help:"Set a value." group:"Keys"`
	Delete deleteCmd `cmd:"" help:"Delete a key or all keys under a prefix." aliases:"del,rm" group:"Keys"`
	Cas    casCmd    `cmd:"" help:"Replace a value only if it is the expected one." group:"Keys"`
	Add    addCmd    `cmd:"" help:"Add to a number." group:"Keys"`
	Touch  touchCmd  `cmd:"" help:"Give a key another TTL." group:"Keys"`
	List   listCmd   `cmd:"" help:"List keys and values under a prefix." aliases:"ls" group:"Keys"`
	Batch  batchCmd  `cmd:"" help:"Run checks and operations as one." group:"Keys"`
	Cp     cpCmd     `cmd:"" help:"Copy a key or all keys under a prefix." group:"Keys"`
	Edit   editCmd   `cmd:"" help:"Change a value in an editor." group:"Keys"`
	Wait   waitCmd   `cmd:"" help:"Wait until a key exists, has a value, changes or is gone." group:"Keys"`
	Watch  watchCmd  `cmd:"" help:"Print changes as they happen, or run a command for each." group:"Keys"`

	Lock   lockCmd   `cmd:"" help:"Run a command while holding a lock." group:"Coordination"`
	Elect  electCmd  `cmd:"" help:"Run a command while leading." group:"Coordination"`
	Lease  leaseCmd  `cmd:"" help:"Grant, renew, show and end leases." group:"Coordination"`
	Mirror mirrorCmd `cmd:"" help:"Keep a folder in step with a prefix." group:"Coordination"`

	Auth    authCmd    `cmd:"" help:"Log in; show and change users, roles, API keys and tickets." group:"Operations"`
	Top     topCmd     `cmd:"" help:"Show live rates of the server." group:"Operations"`
	Status  statusCmd  `cmd:"" help:"Print the state of the server." group:"Operations"`
	Ready   readyCmd   `cmd:"" help:"Exit with 0 if the server serves requests, else with 1." group:"Operations"`
	Backup  backupCmd  `cmd:"" help:"Write a backup of the running server to a file." group:"Operations"`
	Restore restoreCmd `cmd:"" help:"Make a new data folder from a backup." group:"Operations"`
	Cluster clusterCmd `cmd:"" help:"Show and change the servers that have the same store." group:"Operations"`
	Migrate migrateCmd `cmd:"" help:"Move values to object storage." group:"Operations"`
	Compact compactCmd `cmd:"" help:"Give disk space back while the server runs." group:"Operations"`
	Inspect inspectCmd `cmd:"" help:"Look into the files of a stopped server, or a backup." group:"Operations"`
	Export  exportCmd  `cmd:"" help:"Write keys as lines of JSON." group:"Operations"`
	Import  importCmd  `cmd:"" help:"Write keys that were exported." group:"Operations"`
	Bench   benchAll   `cmd:"" help:"Measure how fast the server is." group:"Operations"`

	Completion completionCmd `cmd:"" help:"Print a completion script for a shell." group:"Other"`
	Man        manCmd        `cmd:"" help:"Print the manual page." group:"Other"`
	Version    versionCmd    `cmd:"" help:"Print the version." group:"Other"`
	Help       helpCmd       `cmd:"" help:"Print the help of a command." group:"Other"`
}

const description = `keywatch stores keys, changes them with compare-and-swap and sends each change to everyone who watches.

A key that ends in / is a prefix: "get jobs/" lists, "delete jobs/" deletes all
keys under it, "watch jobs/" watches them all. A duration is a number with a unit,
such as 250ms, 30s or 1h30m, or plain seconds. An argument that begins with - is a
flag unless it is a number; after -- no argument is a flag.

` + exitHelp

// session is what a command runs with.
type session struct {
	args   []string
	ctx    context.Context // ends at SIGINT, SIGTERM and SIGHUP; its cause is *interrupt
	cli    *commandLine
	kong   *kong.Kong
	client *client
	kw     *kw.Client // for what is more than one request
	stdin  *os.File
	stdout *output
	stderr *messages
	// log takes the error that ends serve, if it logs JSON; else it is nil.
	log *slog.Logger
	// staysAtHangUp says that SIGHUP does not end the command.
	staysAtHangUp *atomic.Bool
}

// json reports whether output is for programs.
func (s *session) json() bool { return s.cli.Output == "json" }

// exited carries an exit code out of kong, which wants to end the process
// once it has printed help.
type exited int

// run runs one command and returns its exit code.
func run(args []string, stdin, stdout, stderr *os.File) (code int) {
	outlivePipes()
	stays := new(atomic.Bool)
	ctx, release := untilSignal(context.Background(), stays)
	defer release()
	s := &session{
		args: args, staysAtHangUp: stays, ctx: ctx, cli: new(commandLine),
		stdin: stdin, stdout: &output{stdout}, stderr: &messages{newLogWriter(stderr), stderr},
	}
	defer s.stderr.close(ctx)
	defer func() {
		switch r := recover().(type) {
		case nil:
		case exited:
			code = int(r)
		default:
			panic(r)
		}
	}()
	return s.report(s.parseAndRun(args))
}

func (s *session) parseAndRun(args []string) (err error) {
	if s.kong, err = newParser(s); err != nil {
		return err
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := s.kong.Parse(hideNumbers(args))
	showNumbers(parsed)
	if err == nil {
		err = refuseEmpty(parsed)
	}
	if err != nil {
		s.cli.Output = outputAsked(args)
		if isServe(err, parsed) && asked(args, "KEYWATCH_LOG_FORMAT", "--log-format") == "json" {
			s.logJSON(slog.LevelError)
		}
		return asUsage(err)
	}
	if needsServer(parsed.Selected().Name) {
		if s.client, err = s.newClient(); err != nil {
			return err
		}
		s.kw = s.client.kw
		defer func() { s.kw.Close() }() // a login may change it
	}
	return parsed.Run(s)
}

// needsServer reports whether a command sends requests to a server.
func needsServer(command string) bool {
	switch command {
	case "serve", "restore", "inspect", "token", "recover", "init", "new", "completion", "man", "version", "help":
		return false
	}
	return true
}

func newParser(s *session) (*kong.Kong, error) {
	return kong.New(s.cli,
		kong.Name("keywatch"),
		kong.Description(description),
		kong.Bind(s),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(decodeDuration)),
		kong.TypeMapper(reflect.TypeFor[slog.Level](), kong.MapperFunc(decodeLevel)),
		kong.PostBuild(nameVariables),
		kong.Resolvers(&configFile{args: s.args}),
		kong.ValueFormatter(showDefault),
		kong.Writers(s.stdout, s.stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
	)
}

// showDefault adds the default to the help of a flag where its placeholder says something else.
func showDefault(value *kong.Value) string {
	help := kong.DefaultHelpValueFormatter(value)
	if value.Default == "" || value.Tag.PlaceHolder == "" {
		return help
	}
	return strings.TrimSuffix(help, ".") + "; default " + value.Default + "."
}

// nameVariables has the flags of all commands and those of serve read from the
// environment.
func nameVariables(k *kong.Kong) error {
	for _, node := range append([]*kong.Node{k.Model.Node}, k.Model.Children...) {
		if node != k.Model.Node && node.Name != "serve" {
			continue
		}
		for _, flag := range node.Flags {
			if flag.Name == "help" || flag.Name == "version" {
				continue
			}
			name := "KEYWATCH_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
			// Before names that other programs have for it too.
			flag.Envs = append([]string{name}, flag.Envs...)
			flag.Tag.Envs = append([]string{name}, flag.Tag.Envs...)
		}
	}
	return nil
}

// helpCmd prints the help of a command.
type helpCmd struct {
	Command []string `arg:"" optional:"" help:"Command, such as put or lease grant."`
}

// Run prints what COMMAND --help prints.
func (c *helpCmd) Run(s *session) error {
	_, err := s.kong.Parse(append(c.Command, "--help"))
	return asUsage(err)
}
