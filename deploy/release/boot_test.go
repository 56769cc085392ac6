package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keywatch/deploy/try"
)

// If the installed service did not start under a real systemd, within all that its unit
// forbids, or did not come up again after a crash, or stop in order, no one should install it.
func TestInstalledServiceRuns(t *testing.T) {
	m := boot(t, file(t, ".deb"))
	m.do("systemctl", "enable", "--now", "keywatch") // returns when the server has said that it is ready
	if status := m.property("StatusText"); m.property("ActiveState") != "active" || status == "" {
		t.Errorf("state %s, status %q", m.property("ActiveState"), status)
	}
	m.do("keywatch", "put", "a", "1")

	// Without a file a reload must not end the server, and with one it must be read.
	if out, err := m.command("systemctl", "reload", "keywatch").CombinedOutput(); err == nil || m.property("ActiveState") != "active" {
		t.Errorf("a reload without a file: %v, %s", err, out)
	}
	m.do("sh", "-c", `echo KEYWATCH_CONFIG=/etc/keywatch.toml >>/etc/default/keywatch; printf 'log-level = "info"\ngrace = "9s"\n' >/etc/keywatch.toml`)
	m.do("systemctl", "restart", "keywatch")
	m.do("sh", "-c", `printf 'log-level = "info"\ngrace = "8s"\n' >/etc/keywatch.toml`)
	m.do("systemctl", "reload", "keywatch")
	try.Until(t, func() bool {
		return strings.Contains(m.do("journalctl", "--no-pager", "-u", "keywatch"), `msg="configuration read again" changed=[grace]`)
	}, "the file is read again")

	m.do("systemctl", "kill", "--signal=KILL", "keywatch")
	try.Until(t, func() bool { return m.property("NRestarts") == "1" && m.property("ActiveState") == "active" }, "a restart")
	if got := strings.TrimSpace(m.do("keywatch", "get", "a")); got != "1" {
		t.Errorf("after a kill: %q", got)
	}
	if owner := strings.TrimSpace(m.do("stat", "-c", "%U %a", "/var/lib/keywatch")); owner != "keywatch 700" {
		t.Errorf("the data folder: %s", owner)
	}
	m.asksForCredentials()
	m.do("systemctl", "stop", "keywatch")
	for name, want := range map[string]string{"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"} {
		if got := m.property(name); got != want {
			t.Errorf("after a stop: %s=%s, want %s", name, got, want)
		}
	}
	if t.Failed() {
		t.Log(m.do("journalctl", "--no-pager", "-u", "keywatch"))
	}
}

// asksForCredentials turns on authentication as docs/operating.md says, with credentials of systemd: the
// service, which is not their owner, must be able to read them, and no one else.
func (m *machine) asksForCredentials() {
	m.t.Helper()
	m.do("sh", "-c", `umask 077; mkdir /etc/keywatch; head -c 32 /dev/urandom | base64 >/etc/keywatch/auth.key; keywatch auth key new >/etc/keywatch/admin.key`)
	m.do("mkdir", "-p", "/etc/systemd/system/keywatch.service.d")
	m.do("sh", "-c", "cat >/etc/systemd/system/keywatch.service.d/auth.conf <<'EOF'\n"+dropIn(m.t)+"EOF\n")
	m.do("systemctl", "daemon-reload")
	m.do("systemctl", "restart", "keywatch")
	if out, err := m.command("keywatch", "get", "a").CombinedOutput(); err == nil || !strings.Contains(string(out), "unauthenticated") {
		m.t.Errorf("without a credential: %v %s", err, out)
	}
	if got := strings.TrimSpace(m.do("keywatch", "--token-file=/etc/keywatch/admin.key", "get", "a")); got != "1" {
		m.t.Errorf("with the key of the administrator: %q", got)
	}
	m.do("rm", "/etc/keywatch/admin.key")
	m.do("sed", "-i", "/admin.key/d", "/etc/systemd/system/keywatch.service.d/auth.conf")
	m.do("systemctl", "daemon-reload")
	m.do("systemctl", "restart", "keywatch")
}

// dropIn returns the part of a unit that docs/operating.md shows, which turns on authentication.
func dropIn(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(try.Root(t), "docs/operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "    [Service]\n    LoadCredential=")
	rest, _, found := strings.Cut(rest, "\n\n")
	if !found {
		t.Fatal("docs/operating.md shows no unit with LoadCredential")
	}
	return "[Service]\nLoadCredential=" + strings.ReplaceAll(rest, "\n    ", "\n") + "\n"
}

// A machine is a system that was booted from the programs of this one, in a container.
type machine struct {
	t   *testing.T
	pid string // of its systemd
}

// boot installs a package into a system and boots that.
func boot(t *testing.T, pkg string) *machine {
	t.Helper()
	nspawn, unshare := try.Program(t, "systemd-nspawn"), try.Program(t, "unshare")
	if os.Getuid() != 0 {
		try.Missing(t, "a system is booted by root")
	}
	root := emptyRoot(t)
	shareUsr(t, root)
	try.Run(t, "dpkg", "--root="+root, "--force-script-chrootless", "--force-depends", "--log="+filepath.Join(root, "log"), "--install", pkg)
	// systemd-nspawn that is killed leaves the system running. As the first process of a namespace
	// it takes the system with it, also if this process is killed.
	p := try.Start(t, exec.Command(unshare, "--pid", "--fork", "--kill-child", "--mount-proc", nspawn, "--quiet", "--directory="+root, "--register=no", "--keep-unit", "--private-network", "--console=pipe", "--link-journal=no", "--boot"))
	m := &machine{t: t}
	t.Cleanup(func() { gone(t, p, m.pid) })
	try.Until(t, func() bool {
		if p.Ended() {
			t.Fatal("the system ended")
		}
		m.pid = childOf(childOf(strconv.Itoa(p.Pid())))
		return m.pid != "" && m.property("LoadState") == "loaded"
	}, "the system is up")
	return m
}

// childOf returns the first child of a process, empty if there is none.
func childOf(pid string) string {
	text, _ := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	child, _, _ := strings.Cut(string(text), " ")
	return child
}

// gone ends the system and looks that nothing of it is left.
func gone(t *testing.T, p *try.Process, pid string) {
	p.Kill()
	if pid == "" {
		return
	}
	for range 1000 { // the kernel takes a moment to end all of a namespace
		if _, err := os.Stat(filepath.Join("/proc", pid)); err != nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("the system that was booted is still there, as process %s", pid)
}

// shareUsr gives a system the programs of this one; what it writes there stays its own.
func shareUsr(t *testing.T, root string) {
	t.Helper()
	for _, dir := range []string{"usr", "upper", "work", "dev", "proc", "sys", "root"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"} {
		if err := os.Symlink("usr/"+dir, filepath.Join(root, dir)); err != nil {
			t.Fatal(err)
		}
	}
	usr := filepath.Join(root, "usr")
	layers := fmt.Sprintf("lowerdir=/usr,upperdir=%s,workdir=%s", filepath.Join(root, "upper"), filepath.Join(root, "work"))
	if err := unix.Mount("overlay", usr, "overlay", 0, layers); err != nil {
		try.Missing(t, "an overlay cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(usr, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// command returns a command that runs in m.
func (m *machine) command(args ...string) *exec.Cmd {
	return exec.CommandContext(m.t.Context(), "nsenter", append([]string{"--target", m.pid, "--all", "--"}, args...)...)
}

// do runs a command in m and returns what it printed.
func (m *machine) do(args ...string) string {
	m.t.Helper()
	c := m.command(args...)
	out, err := c.CombinedOutput()
	if err != nil {
		log, _ := m.command("journalctl", "--no-pager", "-u", "keywatch").CombinedOutput()
		m.t.Fatalf("%v: %v\n%s\n%s", args, err, out, log)
	}
	return string(out)
}

// property returns what systemd says of the service, empty if it does not answer.
func (m *machine) property(name string) string {
	out, _ := m.command("systemctl", "show", "keywatch", "--property="+name, "--value").Output()
	return strings.TrimSpace(string(out))
}
