package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"keywatch/deploy/try"
)

// If Debian's own checker found a fault, an administrator would meet it.
func TestDebianPackageIsClean(t *testing.T) {
	lintian := try.Program(t, "lintian")
	out, err := exec.CommandContext(t.Context(), lintian, "--allow-root", "--no-cfg", "--fail-on", "error,warning", file(t, ".deb")).CombinedOutput()
	if err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
}

// If the package did not install, upgrade and go again, or left no user for the service,
// the service would not start.
func TestDebianPackageInstalls(t *testing.T) {
	dpkg := try.Program(t, "dpkg")
	try.Program(t, "systemd-sysusers")
	if os.Getuid() != 0 {
		try.Missing(t, "packages are installed by root")
	}
	root := emptyRoot(t)
	do := func(args ...string) {
		try.Run(t, dpkg, append([]string{"--root=" + root, "--force-script-chrootless", "--force-depends", "--log=" + filepath.Join(root, "log")}, args...)...)
	}
	do("--install", file(t, ".deb"))
	if users := string(content(t, filepath.Join(root, "etc/passwd"))); !strings.HasPrefix(users, "keywatch:") {
		t.Errorf("/etc/passwd: %q", users)
	}
	settings := filepath.Join(root, "etc/default/keywatch")
	if err := os.WriteFile(settings, []byte("KEYWATCH_LOG_LEVEL=info\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	do("--install", file(t, ".deb"))
	if got := string(content(t, settings)); got != "KEYWATCH_LOG_LEVEL=info\n" {
		t.Errorf("an upgrade changed the settings to %q", got)
	}
	runsIn(t, root)
	do("--remove", "keywatch")
	if _, err := os.Stat(filepath.Join(root, "usr/bin/keywatch")); !os.IsNotExist(err) {
		t.Errorf("the command is still there: %v", err)
	}
	do("--purge", "keywatch")
}

// If rpm could not read or install the package, it would be of no use to those systems.
func TestRedHatPackageInstalls(t *testing.T) {
	rpm := try.Program(t, "rpm")
	if os.Getuid() != 0 {
		try.Missing(t, "packages are installed by root")
	}
	root := emptyRoot(t)
	// Its scripts need a shell below root.
	try.Run(t, rpm, "--root", root, "--install", "--nodeps", "--noscripts", "--ignorearch", file(t, ".rpm"))
	if out := try.Run(t, rpm, "--root", root, "--verify", "--nodeps", "--noscripts", "keywatch"); strings.TrimSpace(out) != "" {
		t.Errorf("what was installed is not what is in the package:\n%s", out)
	}
	scripts := try.Run(t, rpm, "-q", "--scripts", "-p", file(t, ".rpm"))
	if !strings.Contains(scripts, "systemd-sysusers keywatch.conf") {
		t.Errorf("scripts:\n%s", scripts)
	}
	runsIn(t, root)
}

// emptyRoot makes the root of a system without any package.
func emptyRoot(t *testing.T) string {
	root := t.TempDir()
	for _, dir := range []string{"etc", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/rpm", "run", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"status", "available"} {
		if err := writeFile(filepath.Join(root, "var/lib/dpkg", name), nil); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// runsIn runs the command that is installed below root, and needs nothing else there.
func runsIn(t *testing.T, root string) {
	t.Helper()
	out := try.Run(t, "chroot", root, "/usr/bin/keywatch", "-o", "json", "version")
	var v struct{ Version string }
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.Version != "v0.1.0" {
		t.Errorf("keywatch version printed %q, %v", out, err)
	}
}
