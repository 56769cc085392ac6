// Package try has what the tests of this module share: it finds programs, builds the
// command and runs it.
package try

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Root returns the root of the source.
func Root(t testing.TB) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	if _, err := os.Stat(filepath.Join(root, "Taskfile.yml")); err != nil {
		t.Fatal(err)
	}
	return root
}

// Program returns the path of a program. Without it t is skipped, or fails where
// KEYWATCH_REQUIRE=1 or KEYWATCH_PROVE=1 forbids that.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, "%s is not installed", name)
	}
	return path
}

// Missing skips t, which needs what is named, or fails it where skipping is forbidden.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	what := fmt.Sprintf(format, args...)
	if os.Getenv("KEYWATCH_REQUIRE") == "1" || os.Getenv("KEYWATCH_PROVE") == "1" {
		t.Fatalf("%s, and KEYWATCH_REQUIRE or KEYWATCH_PROVE forbids skipping this test", what)
	}
	t.Skipf("SKIPPED, NOT TESTED: %s", what)
}

// Run runs a program and returns what it printed on both outputs. t fails if it does.
func Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Build builds the command for Linux as a release does, and returns its path.
func Build(t testing.TB, arch string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keywatch")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "./app/keywatch")
	build.Dir = Root(t)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// A Process is a program that runs until the test ends.
type Process struct {
	t    testing.TB
	cmd  *exec.Cmd
	out  output
	done chan struct{} // closed when it has ended
}

// output collects what a process prints; safe for concurrent use.
type output struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.String()
}

// Start starts a program. What it prints is shown if t fails. It is killed when t ends.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{t: t, cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// The kernel kills the process when the thread that has started it ends, which may be long before
		// the test does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if started <- err; err != nil {
			return
		}
		_ = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.end)
	return p
}

// Kill kills the process and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

func (p *Process) end() {
	p.Kill()
	if p.t.Failed() {
		p.t.Logf("%s printed:\n%s", filepath.Base(p.cmd.Path), p.out.String())
	}
}

// Pid returns the number of the process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Output returns what the process has printed.
func (p *Process) Output() string { return p.out.String() }

// Line waits for a line that begins with prefix, and returns the rest of it.
func (p *Process) Line(prefix string) (rest string) {
	p.t.Helper()
	Until(p.t, func() bool {
		for lines := bufio.NewScanner(strings.NewReader(p.out.String())); lines.Scan(); {
			if after, ok := strings.CutPrefix(lines.Text(), prefix); ok {
				rest = after
				return true
			}
		}
		if p.Ended() {
			p.t.Fatalf("it ended with %v before it printed %q", p.cmd.ProcessState, prefix)
		}
		return false
	}, "the line %q", prefix)
	return rest
}

// Ended reports whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// Wait waits until the process has ended and returns its exit code, -1 after a signal.
func (p *Process) Wait() int {
	p.t.Helper()
	Until(p.t, p.Ended, "the end of %s", filepath.Base(p.cmd.Path))
	return p.cmd.ProcessState.ExitCode()
}

// Address returns an address of this machine at which nothing listens. Its port is below those that
// systems give out unasked, so that no connection takes it before a server does.
func Address(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 10_000+rand.IntN(20_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port in a hundred")
	return ""
}

// Until waits until done reports true, for two minutes at most.
func Until(t testing.TB, done func() bool, format string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for !done() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("never: "+format, args...)
		}
	}
}

// Get sends a GET and returns the status and the body; the status is 0 if no server
// answers.
func Get(t testing.TB, url string) (status int, body string) {
	t.Helper()
	return Do(t, http.MethodGet, url, "")
}

// Do sends a request and returns the status and the body; the status is 0 if no server
// answers.
func Do(t testing.TB, method, url, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(data)
}
