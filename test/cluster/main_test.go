package cluster_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// builds is the folder of what was built.
var builds string

func TestMain(m *testing.M) {
	err := alone()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if builds, err = os.MkdirTemp("", "keywatch-cluster"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(builds); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// command is the command under test; faulty is a build of it in which faults can be planted.
var (
	command = sync.OnceValues(func() (string, error) { return build("keywatch") })
	faulty  = sync.OnceValues(func() (string, error) { return build("faulty", "-tags=keywatchfault") })
)

// build builds the command.
func build(name string, args ...string) (path string, err error) {
	path = filepath.Join(builds, name)
	args = slices.Concat([]string{"build", "-o", path}, raceFlags, args, []string{"keywatch/app/keywatch"})
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the command: %w\n%s", err, out)
	}
	return path, nil
}

// available builds the command, and skips t where there is no program for networks.
func available(t testing.TB) {
	t.Helper()
	if err := load.SourcesSeen(); err != nil {
		t.Fatal(err)
	}
	if _, err := command(); err != nil {
		t.Fatal(err)
	}
	gate.Program(t, "ip")
}
