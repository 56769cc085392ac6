package cluster_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"keywatch/test/gate"
)

const (
	// bridges begins the names of the bridges of these tests.
	bridges = "kwb"
	// subnets is how many bridges there can be at once.
	subnets = 250
	// peerPort and httpPort are those of every node.
	peerPort, httpPort = 7071, 7070
	// netnsFolder has, for each namespace, the files that replace those of /etc in it.
	netnsFolder = "/etc/netns"
)

// A network is a bridge of this machine on which each node has a namespace of its own. A node
// reaches another one by name only, and the name leads to the proxy for the two.
type network struct {
	number int // of the subnet 10.97.number.0/24
	nodes  int
}

// newNetwork makes a network with so many nodes, which t removes.
func newNetwork(t testing.TB, nodes int) *network {
	t.Helper()
	ip := gate.Program(t, "ip")
	if os.Getuid() != 0 {
		gate.Missing(t, "network namespaces need root")
	}
	sweep()
	n := &network{nodes: nodes}
	if err := n.bridge(ip); err != nil {
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

// bridge makes a bridge under a name that is free, so that runs at the same time do not meet.
func (n *network) bridge(ip string) error {
	var errs error
	for n.number = 1; n.number < subnets; n.number++ {
		out, err := exec.Command(ip, "link", "add", n.name(), "type", "bridge").CombinedOutput()
		if err == nil {
			break
		}
		if !strings.Contains(string(out), "exists") {
			return fmt.Errorf("add a bridge: %w: %s", err, out)
		}
		errs = errors.New("all bridges are in use")
	}
	if n.number == subnets {
		return errs
	}
	commands := []string{
		fmt.Sprintf("link set %s alias %d", n.name(), os.Getpid()),
		fmt.Sprintf("addr add %s/24 dev %s", n.address(1), n.name()),
		fmt.Sprintf("link set %s up", n.name()),
	}
	for i := range n.nodes {
		for j := range n.nodes {
			if i != j {
				commands = append(commands, fmt.Sprintf("addr add %s/32 dev %s", n.proxy(i, j), n.name()))
			}
		}
	}
	return runIP(commands...)
}

// namespace makes the namespace of node i.
func (n *network) namespace(i int) error {
	ns, veth := n.ns(i), fmt.Sprintf("kwv%d.%d", n.number, i)
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
		fmt.Sprintf("link set %s master %s up", veth, n.name()),
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
	return errors.Join(errs, runIP("link del "+n.name()))
}

func (n *network) name() string       { return bridges + strconv.Itoa(n.number) }
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

// sweep removes what tests left that were killed.
func sweep() {
	aliases, _ := filepath.Glob("/sys/class/net/" + bridges + "*/ifalias") // the pattern is right
	for _, file := range aliases {
		alias, err := os.ReadFile(file)
		pid, perr := strconv.Atoi(strings.TrimSpace(string(alias)))
		if err != nil || perr != nil || syscall.Kill(pid, 0) == nil {
			continue // it is being made, or is of a test that runs
		}
		left := &network{}
		if left.number, err = strconv.Atoi(strings.TrimPrefix(filepath.Base(filepath.Dir(file)), bridges)); err != nil {
			continue
		}
		folders, _ := filepath.Glob(filepath.Join(netnsFolder, left.name()+"-*"))
		left.nodes = len(folders)
		unmountAll(left.name())
		_ = left.remove() // another test may sweep too
	}
}
