package e2e_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the path of the command under test, built once by TestMain.
var binary string

// seed drives every random choice of the tests; it is printed when one fails.
var seed = flag.Uint64("seed", 1, "seed of the random choices")

func TestMain(m *testing.M) {
	if url := os.Getenv(holderURL); url != "" { // a child of TestStoppedHolder
		os.Exit(hold(url))
	}
	flag.Parse()
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "keywatch-e2e")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary = filepath.Join(dir, "keywatch")
	args := []string{"build", "-o", binary}
	if raceEnabled {
		// Then races in the server end it, and the test that ran it fails.
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "keywatch/app/keywatch")...)
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build the command: %w\n%s", err, out)
	}
	if code = m.Run(); code != 0 {
		fmt.Printf("to repeat the random choices: -seed=%d\n", *seed)
	}
	return code, nil
}
