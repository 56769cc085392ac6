package image_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"keywatch/deploy/image"
	"keywatch/deploy/try"
)

// If the image needed more than an engine gives it at its strictest, it could not be run
// under a restricted policy: its root is read-only, it has no capability, cannot get one,
// is not root, and only its data folder can be written to.
func TestRunsRestricted(t *testing.T) {
	runc, umoci := try.Program(t, "runc"), try.Program(t, "umoci")
	if os.Getuid() != 0 {
		try.Missing(t, "runc has to be run by root")
	}
	// umoci does not choose among architectures.
	layout := write(t, options(t, map[string]string{runtime.GOARCH: try.Build(t, runtime.GOARCH)}))
	bundle := filepath.Join(t.TempDir(), "bundle")
	try.Run(t, umoci, "unpack", "--image", layout+":keywatch:0.1.0", bundle)
	restrict(t, bundle)

	state := filepath.Join(t.TempDir(), "runc")
	id := fmt.Sprintf("keywatch-test-%d", os.Getpid())
	container := try.Start(t, exec.Command(runc, "--root", state, "run", "--bundle", bundle, id))
	t.Cleanup(func() { _ = exec.Command(runc, "--root", state, "delete", "--force", id).Run() })
	url, _, _ := strings.Cut(container.Line("keywatch: "), " ")

	inside := func(args ...string) string {
		return try.Run(t, runc, append([]string{"--root", state, "exec", id, image.Binary, "--server", url}, args...)...)
	}
	if status, body := try.Get(t, url+"/readyz"); status != 200 {
		t.Errorf("/readyz: %d %s", status, body)
	}
	inside("put", "a", "1")
	if got := strings.TrimSpace(inside("get", "a")); got != "1" {
		t.Errorf("got %q, want 1", got)
	}
	privileges(t, state, id, runc)
	container.Signal(syscall.SIGTERM)
	if code := container.Wait(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

// restrict takes from a bundle what the server must not need, gives it a tmpfs for data
// and the network of this machine, on which it listens on a port of its own.
func restrict(t *testing.T, bundle string) {
	path := filepath.Join(bundle, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	process := config["process"].(map[string]any)
	process["terminal"] = false
	process["noNewPrivileges"] = true
	process["capabilities"] = map[string]any{}
	process["args"] = append(process["args"].([]any), "--listen="+try.Address(t))
	config["root"].(map[string]any)["readonly"] = true
	config["mounts"] = append(config["mounts"].([]any), map[string]any{
		"destination": image.Data, "type": "tmpfs", "source": "tmpfs",
		"options": []string{"nosuid", "nodev", "noexec", "mode=0700", "size=256m", fmt.Sprintf("uid=%d", image.User), fmt.Sprintf("gid=%d", image.User)},
	})
	linux := config["linux"].(map[string]any)
	var namespaces []any
	for _, n := range linux["namespaces"].([]any) {
		if n.(map[string]any)["type"] != "network" {
			namespaces = append(namespaces, n)
		}
	}
	linux["namespaces"] = namespaces
	if text, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// privileges fails t if the server in a container has any.
func privileges(t *testing.T, state, id, runc string) {
	var status struct{ Pid int }
	if err := json.Unmarshal([]byte(try.Run(t, runc, "--root", state, "state", id)), &status); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", status.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("Uid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d\n", image.User), "NoNewPrivs:\t1\n",
		"CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n", "CapInh:\t0000000000000000\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the status of the process lacks %q:\n%s", want, text)
		}
	}
}
