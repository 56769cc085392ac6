package k8s_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"keywatch/deploy/try"
)

// A network joins the namespaces of pods by a bridge in a namespace of its own: nothing of
// it can be reached from this machine, or reaches it.
type network struct {
	t      *testing.T
	ip     string // the program
	prefix string // of the names of all namespaces
	next   int    // of addresses and links
}

// newNetwork makes a network without pods. It is removed when t ends.
func newNetwork(t *testing.T) *network {
	n := &network{t: t, ip: try.Program(t, "ip"), prefix: fmt.Sprintf("kwk8s-%d-%s", os.Getpid(), strings.ToLower(t.Name()))}
	n.addNamespace("switch")
	n.run("-n", n.name("switch"), "link", "add", "br0", "type", "bridge")
	n.run("-n", n.name("switch"), "link", "set", "br0", "up")
	return n
}

func (n *network) run(args ...string) {
	n.t.Helper()
	try.Run(n.t, n.ip, args...)
}

// name returns the name of a namespace.
func (n *network) name(of string) string {
	return strings.ReplaceAll(n.prefix+"-"+of, "/", "-")
}

func (n *network) addNamespace(of string) {
	n.run("netns", "add", n.name(of))
	n.t.Cleanup(func() { n.remove(of) })
}

// remove ends a namespace, and with it its end of every link.
func (n *network) remove(of string) { _ = exec.Command(n.ip, "netns", "delete", n.name(of)).Run() }

// addPod makes the namespace of a pod and returns its address, which no pod had before.
func (n *network) addPod(pod string) (address string) {
	n.next++
	address = fmt.Sprintf("10.244.0.%d", n.next)
	port := fmt.Sprintf("port%d", n.next)
	n.addNamespace(pod)
	n.run("-n", n.name("switch"), "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", n.name(pod))
	n.run("-n", n.name("switch"), "link", "set", port, "master", "br0", "up")
	n.run("-n", n.name(pod), "link", "set", "lo", "up")
	n.run("-n", n.name(pod), "address", "add", address+"/24", "dev", "eth0")
	n.run("-n", n.name(pod), "link", "set", "eth0", "up")
	return address
}

// path returns the file of a pod's namespace.
func (n *network) path(pod string) string { return "/run/netns/" + n.name(pod) }

// client returns a client that is inside the namespace of a pod.
func (n *network) client(pod string) *http.Client {
	dial := func(ctx context.Context, kind, address string) (conn net.Conn, err error) {
		err = inside(n.path(pod), func() error {
			conn, err = new(net.Dialer).DialContext(ctx, kind, address)
			return err
		})
		return conn, err
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}

// inside calls do in a thread that is in another network namespace. A thread that cannot
// return from there ends.
func inside(path string, do func() error) error {
	there, err := os.Open(path)
	if err != nil {
		return err
	}
	defer there.Close()
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	err = do()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return back
	}
	runtime.UnlockOSThread()
	return err
}
