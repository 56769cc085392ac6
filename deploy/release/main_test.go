package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"keywatch/deploy/try"
)

// shared is the release that most tests look at. It is made once.
var shared struct {
	sync.Once
	work string // folder of the tests; TestMain deletes it
	out  string // the results
	key  string // what signed them
	err  error

	licences map[string]string
}

func TestMain(m *testing.M) {
	var err error
	if shared.work, err = os.MkdirTemp("", "keywatch-release-test"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(shared.work)
	os.Exit(code)
}

// made returns the folder of a signed release for this machine.
func made(t *testing.T) string {
	t.Helper()
	shared.Do(func() {
		shared.licences = make(map[string]string)
		shared.key = filepath.Join(shared.work, "key")
		shared.out, shared.err = makeFromClone(t, "one", true)
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.out
}

// makeFromClone makes a release from a clone of its own and returns the results.
func makeFromClone(t *testing.T, name string, signed bool) (string, error) {
	t.Helper()
	clone := filepath.Join(shared.work, name, "source")
	o := Options{
		Version: "v0.1.0", Root: clone, Out: filepath.Join(shared.work, name, "dist"),
		Targets: []string{host.String()}, Log: io.Discard, Maintainer: "keywatch maintainers <maintainers@keywatch.example.org>",
	}
	if out, err := exec.Command("git", "clone", "-q", try.Root(t), clone).CombinedOutput(); err != nil {
		return "", fmt.Errorf("git clone: %w\n%s", err, out)
	}
	if signed {
		o.Key = shared.key
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", o.Key).CombinedOutput(); err != nil {
			return "", fmt.Errorf("ssh-keygen: %w\n%s", err, out)
		}
	}
	o.known = shared.licences
	return o.Out, Make(t.Context(), o)
}

// file returns the path of a result for this machine.
func file(t *testing.T, suffix string) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		try.Missing(t, "packages are made for Linux")
	}
	return filepath.Join(made(t), "keywatch_0.1.0_linux_"+runtime.GOARCH+suffix)
}

// content returns what a file holds.
func content(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
