package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"keywatch/deploy/try"
)

// If the unit let the server do more than it needs, a fault in it would cost more.
// systemd's scale has 0 for nothing and 10 for everything; --threshold is in tenths.
func TestExposure(t *testing.T) {
	analyze := try.Program(t, "systemd-analyze")
	out, err := exec.CommandContext(t.Context(), analyze, "security", "--no-pager", "--offline=true", "--threshold=15", "keywatch.service").CombinedOutput()
	if err != nil {
		t.Errorf("exposure above 1.5: %v\n%s", err, out)
	}
}

// If a key of the unit were misspelt systemd would ignore it, with a line in a log.
func TestUnitIsUnderstood(t *testing.T) {
	analyze := try.Program(t, "systemd-analyze")
	// The command and the manual page are installed by the package, not here.
	text, err := os.ReadFile("keywatch.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := regexp.MustCompile(`(?m)^Documentation=.*\n`).ReplaceAllString(string(text), "")
	unit = strings.Replace(unit, "ExecStart=/usr/bin/keywatch ", "ExecStart="+try.Program(t, "true")+" ", 1)
	if out := verify(t, analyze, unit); out != "" {
		t.Errorf("systemd-analyze verify:\n%s", out)
	}
	if out := verify(t, analyze, strings.Replace(unit, "ProtectClock=", "ProtectClok=", 1)); !strings.Contains(out, "ProtectClok") {
		t.Errorf("a misspelt key is not found:\n%s", out)
	}
}

// verify returns what systemd says of a unit.
func verify(t *testing.T, analyze, unit string) string {
	path := filepath.Join(t.TempDir(), "keywatch.service")
	if err := os.WriteFile(path, []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	out, _ := exec.CommandContext(t.Context(), analyze, "verify", path).CombinedOutput()
	return string(out)
}

// If the user of the unit were another than the one that is made at installation, the
// service would not start.
func TestUserExists(t *testing.T) {
	sysusers := try.Program(t, "systemd-sysusers")
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("keywatch.sysusers")
	if err != nil {
		t.Fatal(err)
	}
	try.Run(t, sysusers, "--root="+root, "--inline", strings.TrimSpace(string(text)))
	users, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
	if err != nil {
		t.Fatal(err)
	}
	unit, err := os.ReadFile("keywatch.service")
	if err != nil {
		t.Fatal(err)
	}
	user := regexp.MustCompile(`(?m)^User=(.*)$`).FindSubmatch(unit)[1]
	if !strings.HasPrefix(string(users), string(user)+":") {
		t.Errorf("the unit runs as %s; /etc/passwd:\n%s", user, users)
	}
}
