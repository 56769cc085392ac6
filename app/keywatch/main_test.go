package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"keywatch": main})
}

// If a script fails, the command does not do what its help and the exit codes
// promise. These scripts hold for every server that follows the contract.
func TestScripts(t *testing.T) {
	runScripts(t, "testdata/script")
}

// If a script fails, the command does not survive what networks and servers
// do: lost answers, refusals, cut streams. Only the fake fails to order.
func TestFaults(t *testing.T) {
	runScripts(t, "testdata/fault")
}

type fakeKey struct{}

func runScripts(t *testing.T, dir string) {
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			f := newFake(env.T().(testing.TB))
			env.Values[fakeKey{}] = f
			env.Setenv("KEYWATCH_SERVER", f.url)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await":    await,
			"fault":    fault,
			"cut":      func(ts *testscript.TestScript, _ bool, _ []string) { fakeOf(ts).cutWatches() },
			"requests": requests,
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

// await FILE REGEXP waits until a file that another process writes matches.
func await(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile(`(?m)` + args[1])
	var got []byte
	for range 1500 {
		got, _ = os.ReadFile(ts.MkAbs(args[0]))
		if want.Match(got) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("%s does not come to match %s:\n%s", filepath.Base(args[0]), args[1], got)
}
