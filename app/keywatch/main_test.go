package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/app/certs/certstest"
	"keywatch/test/gate"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"keywatch": main})
}

// If a script fails, the command does not do what its help and the exit codes
// promise. These scripts hold for every server that follows the contract.
func TestScripts(t *testing.T) {
	runScripts(t, "testdata/script", func(env *testscript.Env) string {
		return newFake(env.T().(testing.TB)).url
	})
}

// If a script fails here and not with the fake, the command and the server
// read the contract differently.
func TestScriptsWithServer(t *testing.T) {
	runScripts(t, "testdata/script", startServer)
}

// If a script fails, what the server writes to disk is of no use to the
// command, or the other way round.
func TestServerScripts(t *testing.T) {
	runScripts(t, "testdata/server", startServer)
}

// If a script fails, the commands about users and credentials are of no use, or who has no credential
// gets in.
func TestAccessScripts(t *testing.T) {
	runScripts(t, "testdata/access", func(env *testscript.Env) string {
		env.Setenv("HOME", env.WorkDir)
		env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, ".config"))
		env.Setenv("ADMIN", filepath.Join(env.WorkDir, ".data", app.FirstAdminFile))
		return startServerWith(env, app.AuthConfig{Auth: "on"})
	})
}

// If a script fails, the command does not survive what networks and servers
// do: lost answers, refusals, cut streams. Only the fake fails to order.
func TestFaults(t *testing.T) {
	runScripts(t, "testdata/fault", func(env *testscript.Env) string {
		f := newFake(env.T().(testing.TB))
		env.Values[fakeKey{}] = f
		return f.url
	})
}

// startServer runs a server until the script ends.
func startServer(env *testscript.Env) (url string) { return startServerWith(env, app.AuthConfig{}) }

func startServerWith(env *testscript.Env, access app.AuthConfig) (url string) {
	t := env.T().(testing.TB)
	ctx, stop := context.WithCancel(context.Background())
	ready, done := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		config := app.ServeConfig{Config: app.Config{Data: filepath.Join(env.WorkDir, ".data"), AuthConfig: access}, Listen: "127.0.0.1:0"}
		done <- app.Serve(ctx, config, func(addr net.Addr) { ready <- addr })
	}()
	env.Defer(func() { // before the script's folder goes
		stop()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	select {
	case addr := <-ready:
		return "http://" + addr.String()
	case err := <-done:
		done <- nil
		t.Fatalf("serve: %v", err)
		return ""
	}
}

type fakeKey struct{}

// hangUps has the commands of scripts get SIGHUP also where this process was
// started by nohup: what a process ignores its children ignore, but what it catches
// they do not.
var hangUps = sync.OnceFunc(func() {
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
})

// runScripts runs the scripts in dir, each with a server of its own, which
// they find by $KEYWATCH_SERVER.
func runScripts(t *testing.T, dir string, start func(*testscript.Env) (url string)) {
	hangUps()
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			env.Setenv("KEYWATCH_SERVER", start(env))
			t := env.T().(testing.TB)
			env.Setenv("ADDRESS", gate.Address(t)) // free, also for a server that is started again
			env.Values[authorityKey{}] = authority{t, certstest.Authority(t)}
			// A program built with the race detector else sleeps a second at its end.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await":     await,
			"gone":      gone,
			"elsewhere": elsewhere,
			"fault":     fault,
			"cut":       func(ts *testscript.TestScript, _ bool, _ []string) { fakeOf(ts).cutWatches() },
			"requests":  requests,
			"certify":   certify,
		},
		RequireExplicitExec: true,
	})
}

func fakeOf(ts *testscript.TestScript) *fake { return ts.Value(fakeKey{}).(*fake) }

// fault NAME [N] makes the fake misbehave N times.
func fault(ts *testscript.TestScript, _ bool, args []string) {
	n := 1
	if len(args) == 2 {
		var err error
		n, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	fakeOf(ts).fail(args[0], n)
}

// requests FILE writes the requests since the last time to a file.
func requests(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(fakeOf(ts).requests()), 0o600))
}

// An authority signs the certificates of one script.
type authority struct {
	t testing.TB
	*certstest.Pair
}

type authorityKey struct{}

// certify NAME HOST writes a certificate for a host to NAME.pem, its key to NAME.key, and the
// authority that has signed it to ca.pem.
func certify(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: certify NAME HOST")
	}
	by := ts.Value(authorityKey{}).(authority)
	certstest.Sign(by.t, by.Pair, args[1], time.Now().Add(24*time.Hour)).Write(by.t, ts.MkAbs("."), args[0])
	ts.Check(os.WriteFile(ts.MkAbs("ca.pem"), by.Cert, 0o600))
}

// gone FILE waits until the process whose number is in a file has ended.
func gone(ts *testscript.TestScript, _ bool, args []string) {
	text, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	ts.Check(err)
	for range 25_000 { // more than most test runs last
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") { // perhaps no parent reaps it
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("process %d is still there", pid)
}

// await FILE REGEXP waits until a file that another process writes matches.
func await(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile(`(?m)` + args[1])
	var got []byte
	for range 25_000 { // more than most test runs last
		got, _ = os.ReadFile(ts.MkAbs(args[0]))
		if want.Match(got) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("%s does not come to match %s:\n%s", filepath.Base(args[0]), args[1], got)
}

// elsewhere starts a server that is no keywatch, and sets ELSEWHERE to its address. The
// first segment of a path is the status that it answers.
func elsewhere(ts *testscript.TestScript, _ bool, _ []string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(strings.Split(r.URL.Path, "/")[1])
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("ETag", `"1-1"`)
		w.WriteHeader(status)
		fmt.Fprint(w, "<html>another server</html>")
	}))
	ts.Defer(server.Close)
	ts.Setenv("ELSEWHERE", server.URL)
}
