package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keywatch/test/gate"
	"keywatch/test/load"
)

// A server is one run of "keywatch serve" on a port of its own.
type server struct {
	url string
	// line is the line it printed once it answered requests.
	line string
	// began is when the process was about to be started, ready when line came.
	began, ready time.Time

	cmd    *exec.Cmd
	out    output        // everything it printed
	exited chan struct{} // closed when the process has ended
	code   int           // exit code, -1 after a signal; valid once exited
}

// newClient returns a client of s.
func newClient(t testing.TB, s *server) *load.Client {
	return load.NewClient(t, func() string { return s.url }, nil)
}

// output collects what a process prints; safe for concurrent use.
type output struct {
	mu struct {
		sync.Mutex
		bytes.Buffer
	}
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.Buffer.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.Buffer.String()
}

// serve starts a server and waits until it answers. Without --listen in args it
// takes any free port. The test fails if it does not start.
func serve(t testing.TB, args ...string) *server {
	t.Helper()
	s, err := launch(gate.Context(t), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.end(t) })
	return s
}

// end kills the server if the test has left it running, and fails the test if it
// died of a race or a panic.
func (s *server) end(t testing.TB) {
	_ = s.cmd.Process.Kill()
	<-s.exited
	for _, bad := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: "} {
		if strings.Contains(s.out.String(), bad) {
			t.Errorf("the server printed %q:\n%s", bad, s.out.String())
		}
	}
	if t.Failed() {
		t.Logf("server %v printed:\n%s", s.cmd.Args, tail(s.out.String(), 4<<10))
	}
}

// launch starts a server and waits for its first line. It fails, and leaves no
// process, if the process ends before or ctx does.
func launch(ctx context.Context, args ...string) (*server, error) {
	return launchOf(ctx, binary, "", args...)
}

// launchOf is launch of another build of the command, in which fault strikes.
func launchOf(ctx context.Context, binary, fault string, args ...string) (*server, error) {
	if err := load.SourcesSeen(); err != nil {
		return nil, err
	}
	if !contains(args, "--listen") {
		args = append([]string{"--listen", "127.0.0.1:0"}, args...)
	}
	s := &server{cmd: exec.Command(binary, append([]string{"serve"}, args...)...), exited: make(chan struct{})}
	s.cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1", "KEYWATCH_FAULT="+fault)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.cmd.Stderr = &s.out
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.began = time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	lines := make(chan string, 1) // the first line; closed if none came
	go s.read(stdout, lines)
	select {
	case line, ok := <-lines:
		if !ok {
			<-s.exited
			return nil, &exitError{s.code, s.out.String()}
		}
		return s, s.parse(line)
	case <-ctx.Done():
		_ = s.cmd.Process.Kill()
		<-s.exited
		return nil, fmt.Errorf("the server did not start: %w; it printed:\n%s", ctx.Err(), s.out.String())
	}
}

// read hands over the first line and collects the rest until the process ends.
func (s *server) read(stdout io.Reader, first chan<- string) {
	r := bufio.NewReader(stdout)
	if line, err := r.ReadString('\n'); err == nil {
		first <- strings.TrimSuffix(line, "\n")
	}
	close(first)
	_, _ = io.Copy(&s.out, r)
	_ = s.cmd.Wait()
	s.code = s.cmd.ProcessState.ExitCode()
	close(s.exited)
}

func (s *server) parse(line string) error {
	s.ready, s.line = time.Now(), line
	rest, ok := strings.CutPrefix(line, "keywatch: ")
	if url, _, _ := strings.Cut(rest, " "); ok && strings.HasPrefix(url, "http://") {
		s.url = url
		return nil
	}
	_ = s.cmd.Process.Kill()
	<-s.exited
	return fmt.Errorf("the server printed %q, want keywatch: http://...", line)
}

// An exitError is a process that ended unasked.
type exitError struct {
	code   int
	output string
}

func (e *exitError) Error() string {
	return fmt.Sprintf("the process ended with code %d and printed:\n%s", e.code, e.output)
}

// kill ends the server as a crash of the process would.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// stop asks the server to stop, as a service manager does, and waits until it
// has, with exit code 0.
func (s *server) stop(t testing.TB) {
	t.Helper()
	s.signal(t)
	s.awaitStop(t)
}

func (s *server) signal(t testing.TB) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

func (s *server) awaitStop(t testing.TB) {
	t.Helper()
	select {
	case <-s.exited:
	case <-gate.Context(t).Done():
		_ = s.cmd.Process.Signal(syscall.SIGQUIT) // for its goroutines
		<-s.exited
		t.Fatalf("the server did not stop; it printed:\n%s", s.out.String())
	}
	if s.code != 0 {
		t.Fatalf("stop: exit code %d, want 0; it printed:\n%s", s.code, s.out.String())
	}
}

// refused runs the command with args, which must make it end unasked, and
// returns its exit code and what it printed.
func refused(t testing.TB, args ...string) (code int, printed string) {
	t.Helper()
	s, err := launch(gate.Context(t), args...)
	if err == nil {
		s.kill()
		t.Fatalf("serve %q started, want it refused", args)
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return exit.code, exit.output
}

// tail returns the end of s, at most n bytes.
func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func contains(args []string, flag string) bool {
	for _, a := range args {
		if a == flag || strings.HasPrefix(a, flag+"=") {
			return true
		}
	}
	return false
}
