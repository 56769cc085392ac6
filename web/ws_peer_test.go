package web_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// peer runs a strict peer of another make against a server, and checks that each
// of its cases went well, and that there were so many.
func peer(t *testing.T, cases int, name string, args ...string) {
	t.Helper()
	w := newWorld(t)
	cmd := exec.Command(name, append(args, "ws://"+w.addr+"/v1/ws")...)
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

// nodePath is where node looks for the package ws, beside where it is told to.
var nodePath = "NODE_PATH=" + os.Getenv("NODE_PATH") + ":/usr/share/nodejs"

// missing skips the test, or fails it where peers are required.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("KEYWATCH_REQUIRE_PEERS") == "1" {
		t.Fatalf("%s is required by KEYWATCH_REQUIRE_PEERS=1 and not there", what)
	}
	t.Skipf("SKIPPED: NOT CHECKED AGAINST A STRICT PEER: %s is not there", what)
}

// If the server's reading of the protocol were its own, browsers and services
// would fail on it now and then.
func TestSocketAgainstNode(t *testing.T) {
	probe := exec.Command("node", "-e", "require('ws')")
	probe.Env = append(os.Environ(), nodePath)
	if err := probe.Run(); err != nil {
		missing(t, "node with the package ws (apt-get install node-ws, or NODE_PATH)")
	}
	peer(t, 16, "node", "testdata/peer.cjs")
}

// The same with the peer whose makers wrote the protocol's test suite.
func TestSocketAgainstAutobahn(t *testing.T) {
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(python, "-c", "import autobahn.asyncio.websocket").Run() == nil {
			peer(t, 15, python, "testdata/peer.py")
			return
		}
	}
	missing(t, "python3 with autobahn (apt-get install python3-autobahn)")
}
