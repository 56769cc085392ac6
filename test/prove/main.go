// Command prove runs the long proofs: the tests whose names begin with TestProof.
// It prints how long each took, and fails if one failed or was skipped, or if there
// was none. Arguments are those of go test; without any it proves all packages.
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"keywatch/test/gate"
)

// arguments are given to go test first. Proofs wait for disks, browsers and
// proxies, so more packages than processors run at once. No proof has a time limit
// of its own, so that none fails because the machine is slow.
var arguments = []string{"test", "-json", "-count=1", "-p=3", "-timeout=60m", "-run=^" + gate.Prefix}

func main() {
	r := newReport(os.Stdout)
	if err := run(r, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "prove:", err)
		os.Exit(1)
	}
}

// run runs the proofs and reports them to r.
func run(r *report, args []string) error {
	if !namesPackages(args) {
		args = append(args, "./...")
	}
	cmd := exec.Command("go", append(arguments, args...)...)
	cmd.Env = append(os.Environ(), gate.ProveEnv+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	// An interrupt reaches the tests as well: they end, and with them this process.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM)
	if err := cmd.Start(); err != nil {
		return err
	}
	err = r.read(out)
	if err != nil {
		_, _ = io.Copy(io.Discard, out)
	}
	if ended := cmd.Wait(); err == nil && ended != nil {
		err = fmt.Errorf("go test: %w", ended)
	}
	return r.end(err)
}

// namesPackages reports whether an argument is not a flag.
func namesPackages(args []string) bool {
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			return true
		}
	}
	return false
}
