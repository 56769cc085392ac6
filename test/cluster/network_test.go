package cluster_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"keywatch/test/gate"
)

const (
	// networks begins the names of networks; the process and a number follow.
	networks = "kwc"
	// peerPort and httpPort are those of every node.
	peerPort, httpPort = 7071, 7070
	// netnsFolder has, for each namespace, the files that replace those of /etc in it.
	netnsFolder = "/etc/netns"
	// aloneMark says that this process has a network of its own.
	aloneMark = "KEYWATCH_TEST_ALONE"
)

// alone gives this process a network of its own, in which everything else is made. In the
// machine's network other programs would meet what comes and goes: a browser fails its
// requests when an interface appears.
func alone() error {
	if os.Getenv(aloneMark) != "" || os.Getuid() != 0 {
		return nil
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil // tests tell what is missing
	}
	if out, err := exec.Command("go", "list", "-deps", "keywatch/app/keywatch").CombinedOutput(); err != nil {
		return fmt.Errorf("fetch what the command is built of: %w\n%s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return nil // tests tell what is missing
	}
	if err := runIP("link set lo up"); err != nil {
		return err
	}
	return unix.Exec(self, os.Args, append(os.Environ(), aloneMark+"=1"))
}

// made counts the networks of this process.
var made atomic.Int32

// A network is a bridge on which each node has a namespace of its own. A node reaches another
// one by name only, and the name leads to the proxy for the two.
type network struct {
	number int // of the subnet 10.97.number.0/24
	nodes  int
}

// newNetwork makes a network with so many nodes, which t removes.
func newNetwork(t testing.TB, nodes int) *network {
	t.Helper()
	gate.Program(t, "ip")
	if os.Getenv(aloneMark) == "" {
		gate.Missing(t, "network namespaces need root, and the right to make them")
	}
	sweep()
	n := &network{number: int(made.Add(1)), nodes: nodes}
	if err := n.bridge(); err != nil {
		gate.Missing(t, "network namespaces: %v", err)
	}
	t.Cleanup(func() {
		if err := n.remove(); err != nil {
			t.Error(err)
		}
	})
	for i := range nodes {
		if err := n.namespace(i); err != nil {
			gate.Missing(t, "network namespaces: %v", err)
		}
	}
	return n
}

// bridge makes the bridge.
func (n *network) bridge() error {
	commands := []string{
		fmt.Sprintf("link add %s type bridge", n.link()),
		fmt.Sprintf("addr add %s/24 dev %s", n.address(1), n.link()),
		fmt.Sprintf("link set %s up", n.link()),
	}
	for i := range n.nodes {
		for j := range n.nodes {
			if i != j {
				commands = append(commands, fmt.Sprintf("addr add %s/32 dev %s", n.proxy(i, j), n.link()))
			}
		}
	}
	return runIP(commands...)
}

// namespace makes the namespace of node i.
func (n *network) namespace(i int) error {
	ns, veth := n.ns(i), fmt.Sprintf("veth%d.%d", n.number, i)
	folder := filepath.Join(netnsFolder, ns)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	hosts := "127.0.0.1 localhost\n"
	for j := range n.nodes {
		to := n.proxy(i, j)
		if i == j {
			to = n.node(i)
		}
		hosts += fmt.Sprintf("%s %s\n", to, nodeName(j))
	}
	if err := os.WriteFile(filepath.Join(folder, "hosts"), []byte(hosts), 0o644); err != nil {
		return err
	}
	return runIP(
		"netns add "+ns,
		fmt.Sprintf("link add %s type veth peer name eth0 netns %s", veth, ns),
		fmt.Sprintf("link set %s master %s up", veth, n.link()),
		fmt.Sprintf("-n %s link set lo up", ns),
		fmt.Sprintf("-n %s addr add %s/24 dev eth0", ns, n.node(i)),
		fmt.Sprintf("-n %s link set eth0 up", ns),
	)
}

// remove removes everything that was made; with a namespace its end of the bridge goes.
func (n *network) remove() error {
	var errs error
	for i := range n.nodes {
		errs = errors.Join(errs, runIP("netns del "+n.ns(i)), os.RemoveAll(filepath.Join(netnsFolder, n.ns(i))))
	}
	return errors.Join(errs, runIP("link del "+n.link()))
}

// name is that of the network on this machine, link that of its bridge in this process.
func (n *network) name() string       { return fmt.Sprintf("%s%d-%d", networks, os.Getpid(), n.number) }
func (n *network) link() string       { return fmt.Sprintf("bridge%d", n.number) }
func (n *network) ns(node int) string { return fmt.Sprintf("%s-%d", n.name(), node) }

// address returns an address of the subnet, node that of a node, and proxy the one at which
// node i finds node j.
func (n *network) address(host int) string { return fmt.Sprintf("10.97.%d.%d", n.number, host) }
func (n *network) node(i int) string       { return n.address(10 + i) }
func (n *network) proxy(i, j int) string   { return n.address(100 + 10*i + j) }

// nodeName is what the nodes call node i.
func nodeName(i int) string { return "n" + strconv.Itoa(i+1) }

// runIP runs commands of ip, one after the other.
func runIP(commands ...string) error {
	for _, c := range commands {
		if out, err := exec.Command("ip", strings.Fields(c)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", c, err, out)
		}
	}
	return nil
}

// sweep removes what tests left that were killed: their bridges went with them.
func sweep() {
	left, _ := filepath.Glob(filepath.Join(netnsFolder, networks+"*")) // the pattern is right
	for _, folder := range left {
		ns := filepath.Base(folder)
		parts := strings.Split(strings.TrimPrefix(ns, networks), "-")
		pid, err := strconv.Atoi(parts[0])
		if err != nil || len(parts) != 3 || syscall.Kill(pid, 0) == nil {
			continue // it is of a test that runs
		}
		unmountAll(networks + parts[0] + "-" + parts[1])
		_ = runIP("netns del " + ns) // another test may sweep too
		_ = os.RemoveAll(folder)
	}
}
