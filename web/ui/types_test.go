package ui_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"keywatch/test/gate"
	"keywatch/web/ui"
)

// If the types did not say what people may do, their compiler would refuse what
// is right or pass what is wrong.
func TestTypesUnderCompiler(t *testing.T) {
	tsc := gate.Program(t, "tsc") // npm install typescript
	dir := t.TempDir()
	types, _ := ui.Lookup("/keywatch.d.ts")
	usage, err := os.ReadFile("testdata/usage.ts")
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{"keywatch.d.ts": types.Body, "usage.ts": usage} {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(tsc, "--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom,dom.iterable", "usage.ts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("tsc: %v\n%s", err, out)
	}
}
