package web_test

import (
	"bufio"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"keywatch/test/gate"
)

// peer runs a strict peer of another make against a server, and checks that each
// of its cases went well, and that there were so many.
func peer(t *testing.T, cases int, name string, args ...string) {
	t.Helper()
	w := newWorld(t, inClear)
	cmd := exec.Command(name, append(args, w.wsBase()+"/v1/ws")...)
	cmd.Env = append(os.Environ(), nodePath)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%s", name, err, out, complaints.String())
	}
	good := 0
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "ok ") {
			good++
		} else {
			t.Error(strings.TrimSpace(line))
		}
	}
	if good != cases {
		t.Errorf("%d cases went well, want %d\n%s%s", good, cases, out, complaints.String())
	}
	w.eventually("all sockets are closed", func() bool { return w.metric("keywatch_sockets") == 0 })
}

// peerIsTold checks that a strict peer takes the end of a server that stops for a
// clean one.
func peerIsTold(t *testing.T, name, script string) {
	t.Helper()
	w := newWorld(t, inClear)
	cmd := exec.Command(name, script, w.wsBase()+"/v1/ws", "stop")
	cmd.Env, cmd.Stderr = append(os.Environ(), nodePath), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	for in := bufio.NewScanner(out); in.Scan(); {
		if said = append(said, in.Text()); in.Text() == "ready" {
			if err := w.server.Shutdown(gate.Context(t)); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		}
	}
	if err := cmd.Wait(); err != nil || !slices.Equal(said, []string{"ready", "ok stops"}) {
		t.Errorf("got %q, %v", said, err)
	}
}

// nodePath is where node looks for the package ws, beside where it is told to.
var nodePath = "NODE_PATH=" + os.Getenv("NODE_PATH") + ":/usr/share/nodejs"

// If the server's reading of the protocol were its own, browsers and services
// would fail on it now and then.
func TestSocketAgainstNode(t *testing.T) {
	probe := exec.Command("node", "-e", "require('ws')")
	probe.Env = append(os.Environ(), nodePath)
	if err := probe.Run(); err != nil {
		gate.Missing(t, "node with the package ws (apt-get install node-ws, or NODE_PATH) is not installed")
	}
	peer(t, 19, "node", "testdata/peer.cjs")
	peerIsTold(t, "node", "testdata/peer.cjs")
}

// The same with the peer whose makers wrote the protocol's test suite.
func TestSocketAgainstAutobahn(t *testing.T) {
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(python, "-c", "import autobahn.asyncio.websocket").Run() == nil {
			peer(t, 16, python, "testdata/peer.py")
			peerIsTold(t, python, "testdata/peer.py")
			return
		}
	}
	gate.Missing(t, "python3 with autobahn (apt-get install python3-autobahn) is not installed")
}
