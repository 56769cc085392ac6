package tcl_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"keywatch/test/gate"
)

// CheckoutEnv names the folder of a checkout of Valkey.
const checkoutEnv = "KEYWATCH_VALKEY"

// unitTimeout is how long one unit may take.
const unitTimeout = 4 * time.Minute

// wrapper comes after the suite's own procedures: settings of other types are not settable.
const wrapper = `
proc config_set {param value {options {}}} {}
proc config_get_set {param value {options {}}} { return {} }
`

// If this failed, clients of Redis that rest on what these tests check would break. It is no proof
// that every run must have: no package has the suite and a checkout has to be fetched.
func TestValkeyUnits(t *testing.T) {
	checkout := os.Getenv(checkoutEnv)
	if checkout == "" {
		t.Skipf("SKIPPED: %s names no checkout of Valkey; see task peers:tcl", checkoutEnv)
	}
	tclsh, cli := gate.Program(t, "tclsh8.6", "tclsh"), gate.Program(t, "redis-cli")
	gate.Program(t, "redis-benchmark")
	suite := copySuite(t, checkout, cli)
	server := filepath.Join(t.TempDir(), "keywatch")
	if out, err := exec.Command("go", "build", "-o", server, "keywatch/app/keywatch").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for unit, want := range expected(t) {
		t.Run(unit, func(t *testing.T) {
			got := run(t, tclsh, suite, unit, serve(t, server))
			for _, name := range want {
				if !slices.Contains(got, name) {
					t.Errorf("%s did not pass", name)
				}
			}
		})
	}
}

// copySuite returns a folder with the suite, with what it looks for beside it.
func copySuite(t *testing.T, checkout, cli string) string {
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "tests"), os.DirFS(filepath.Join(checkout, "tests"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "src"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, program := range map[string]string{"valkey-cli": cli, "valkey-benchmark": gate.Program(t, "redis-benchmark")} {
		if err := os.Symlink(program, filepath.Join(dir, "src", name)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(filepath.Join(dir, "tests/support/util.tcl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(wrapper); err != nil {
		t.Fatal(err)
	}
	return dir
}

// expected returns the names of the tests that must pass, by unit.
func expected(t *testing.T) map[string][]string {
	b, err := os.ReadFile("testdata/pass.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]string)
	for line := range strings.Lines(string(b)) {
		if unit, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); ok {
			all[unit] = append(all[unit], name)
		}
	}
	return all
}

// serve runs a server in memory until the test ends, and returns its port.
func serve(t *testing.T, program string) (port string) {
	cmd := exec.Command(program, "serve", "--memory-only", "--listen", "127.0.0.1:0", "--resp", "127.0.0.1:0",
		"--max-value", "8MiB", "--max-batch", "16MiB", "--max-batch-ops", "20000")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line := make([]byte, 512)
	n, err := out.Read(line)
	if err != nil {
		t.Fatalf("read what the server announces: %v", err)
	}
	m := regexp.MustCompile(`resp=127\.0\.0\.1:(\d+)`).FindSubmatch(line[:n])
	if m == nil {
		t.Fatalf("it announces %q", line[:n])
	}
	return string(m[1])
}

var (
	colors = regexp.MustCompile("\x1b\\[[0-9;]*m")
	passed = regexp.MustCompile(`(?m)^\[ok\]: (.*) \(\d+ ms\)$`)
)

// run runs one unit and returns the names of the tests that passed.
func run(t *testing.T, tclsh, suite, unit, port string) (names []string) {
	skip, err := filepath.Abs("testdata/skip.txt")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), unitTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, tclsh, "tests/test_helper.tcl", "--host", "127.0.0.1", "--port", port, "--singledb",
		"--ignore-encoding", "--ignore-digest", "--durable", "--clients", "1", "--timeout", "100",
		"--tags", "-needs:repl -needs:debug -needs:save -needs:config-maxmemory -needs:config-resetstat",
		"--skipfile", skip, "--single", unit)
	cmd.Dir = suite
	out, _ := cmd.CombinedOutput() // tests of other types fail, and so does the whole
	text := colors.ReplaceAllString(string(out), "")
	for _, m := range passed.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	t.Logf("%d passed", len(names))
	if testing.Verbose() {
		t.Log(text)
	}
	return names
}
