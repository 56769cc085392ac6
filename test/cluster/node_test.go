package cluster_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keywatch/test/gate"
)

// A node is a place for a server: a namespace and a disk. Its process comes and goes.
type node struct {
	index  int
	name   string
	url    string
	ns     string
	disk   *disk
	path   string   // the command of its processes, if that is not the one under test
	faulty bool     // its processes are of the build in which faults can be planted
	fault  string   // what is planted in its next process
	args   []string // of serve, the same for each process
	entry  []string // and those that say how the cluster begins, or which one to join
	// turnable says that the clocks of its processes can be turned, and wrong by how much the clock of the day is at the start of
	// the next.
	turnable bool
	wrong    time.Duration
	out      output // everything its processes printed

	mu struct {
		sync.Mutex
		process *process // the newest
		paused  bool
	}
}

// A process is one run of the command.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has ended
	clock  *clock        // nil if its clocks cannot be turned
}

// output collects what processes print; safe for concurrent use.
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

// start starts a process; it does not wait until that serves.
func (n *node) start() error {
	path, err := n.command()
	if err != nil {
		return err
	}
	args := append([]string{"netns", "exec", n.ns, path, "serve", "--data", n.disk.data()}, slices.Concat(n.args, n.entry)...)
	p := &process{cmd: exec.Command("ip", args...), exited: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "KEYWATCH_FAULT="+n.fault, "KEYWATCH_FAULT_FSYNC="+n.disk.syncs(), "GORACE=halt_on_error=1")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.cmd.Stdout, p.cmd.Stderr = &n.out, &n.out
	fmt.Fprintf(&n.out, "-- start at %s\n", time.Now().Format("15:04:05.000"))
	if n.turnable {
		p.clock, err = startTurned(p.cmd, n.wrong)
	} else {
		err = p.cmd.Start()
	}
	if err != nil {
		return err
	}
	go func() {
		_ = p.cmd.Wait()
		fmt.Fprintf(&n.out, "-- %v at %s\n", p.cmd.ProcessState, time.Now().Format("15:04:05.000"))
		close(p.exited)
	}()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.process, n.mu.paused = p, false
	return nil
}

// command returns the path of the command of the next process.
func (n *node) command() (string, error) {
	switch {
	case n.path != "":
		return n.path, nil
	case n.faulty:
		return faulty()
	}
	return command()
}

func (n *node) process() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.process
}

// runs reports whether there is a process.
func (n *node) runs() bool {
	p := n.process()
	if p == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// signal sends a signal to the process, if there is one.
func (n *node) signal(sig syscall.Signal) {
	if p := n.process(); p != nil {
		_ = p.cmd.Process.Signal(sig) // it may have ended
	}
}

// kill ends the process as a crash would, and waits until it has.
func (n *node) kill() {
	if p := n.process(); p != nil {
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// stop asks the process to stop and waits until it has, with exit code 0.
func (n *node) stop(t testing.TB) {
	t.Helper()
	n.signal(syscall.SIGTERM)
	n.awaitStop(t)
}

// awaitStop waits until the process has ended as it was asked to. A second SIGTERM would cut it off.
func (n *node) awaitStop(t testing.TB) {
	t.Helper()
	p := n.process()
	select {
	case <-p.exited:
		if code := p.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("%s stopped with %d, want 0", n.name, code)
		}
	case <-gate.Context(t).Done():
		n.signal(syscall.SIGQUIT) // for its goroutines
		<-p.exited
		t.Fatalf("%s does not stop", n.name)
	}
}

// pause stops the process where it is; resume has it go on.
func (n *node) pause()  { n.signal(syscall.SIGSTOP) }
func (n *node) resume() { n.signal(syscall.SIGCONT) }

// look is how long a question about a node may take.
const look = 500 * time.Millisecond

var looker = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2}}

// ask sends a GET that is answered soon or not at all.
func (n *node) ask(path string, to any) (status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), look)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", n.url+path, nil)
	if err != nil {
		return 0, err
	}
	resp, err := looker.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if to == nil {
		return resp.StatusCode, nil
	}
	return resp.StatusCode, json.NewDecoder(resp.Body).Decode(to)
}

// ready reports whether the node says so.
func (n *node) ready() bool {
	status, err := n.ask("/readyz", nil)
	return err == nil && status == 200
}

// A standing is what a node says of its place in the cluster.
type standing struct {
	Detail struct {
		Cluster struct {
			Leader bool
			Index  uint64
		}
	}
}

// leads reports whether the node believes that it leads.
func (n *node) leads() bool {
	var s standing
	_, err := n.ask("/v1/status", &s)
	return err == nil && s.Detail.Cluster.Leader
}

// broken says what a process printed that none may print.
func (n *node) broken() error {
	printed := n.out.String()
	for _, bad := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: "} {
		if i := strings.Index(printed, bad); i >= 0 {
			return errors.New(n.name + " printed " + printed[i:min(len(printed), i+4<<10)])
		}
	}
	return nil
}
