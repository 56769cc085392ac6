package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"keywatch/test/gate"
)

// movedTo is the path that the copy is moved to.
const movedTo = "example.org/team/keywatch"

// A team that forks this or gives it a home would have to mend by hand what the rename
// forgot. The copy must build, vet and know its arrows, and another module must be
// able to import what is public.
func TestProofRename(t *testing.T) {
	gate.Long(t)
	root := copyModule(t)
	runIn(t, root, "go", "run", "./test/rename", movedTo)
	runIn(t, root, "go", "build", "./...")
	runIn(t, root, "go", "vet", "./...")
	runIn(t, root, "go", "mod", "tidy", "-diff")
	runIn(t, root, "go", "test", "-count=1", "./app", "-run", "^(TestImportsGoOneWay|TestStateMachineIsPure|TestEveryPackageHasAComment)$")
	knowsArrows(t, root)
	runIn(t, filepath.Join(root, "test/peers"), "go", "vet", "./...")
	importFrom(t, root)
}

// knowsArrows checks that the test of imports in root still finds one that is not
// allowed.
func knowsArrows(t *testing.T, root string) {
	t.Helper()
	bad := filepath.Join(root, "ratelimit", "bad.go")
	if err := os.WriteFile(bad, []byte("package ratelimit\n\nimport _ \""+movedTo+"/web/ui\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "./app", "-run", "^TestImportsGoOneWay$")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "which is not allowed") {
		t.Errorf("an import that is not allowed was not found: %v\n%s", err, out)
	}
	if err := os.Remove(bad); err != nil {
		t.Fatal(err)
	}
}

// copyModule returns a copy of this module.
func copyModule(t *testing.T) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "keywatch")
	files, err := (&renamer{root: "../.."}).files()
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range files {
		to := filepath.Join(root, strings.TrimPrefix(from, "../.."))
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o755)
		}
		if err == nil {
			err = os.WriteFile(to, text, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// program uses both packages that other modules import.
const program = `package main

import (
	"context"
	"fmt"
	"log"

	"` + movedTo + `/app"
	"` + movedTo + `/client"
)

func main() {
	engine, err := app.Open(context.Background(), app.Config{MemoryOnly: true})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	c, err := client.New(client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := engine.Put(context.Background(), "k", []byte("v")); err != nil {
		log.Fatal(err)
	}
	e, err := engine.Get(context.Background(), "k")
	fmt.Print(e.Value(), err)
}
`

// importFrom runs a program of another module that imports the module in root.
func importFrom(t *testing.T, root string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
	runIn(t, dir, "go", "mod", "init", "example.org/other")
	runIn(t, dir, "go", "mod", "edit", "-require="+movedTo+"@v0.0.0", "-replace="+movedTo+"="+root)
	runIn(t, dir, "go", "mod", "tidy") // go get would ask for the path, which does not exist
	runIn(t, dir, "go", "vet", ".")
	if got := runIn(t, dir, "go", "run", "."); got != "v<nil>" {
		t.Errorf("the program printed %q, want v and no error", got)
	}
}

// runIn runs a command in a folder and returns what it printed.
func runIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s\n%s", args, err, out, stderrOf(err))
	}
	return string(out)
}

// stderrOf returns what a command that failed printed on standard error.
func stderrOf(err error) []byte {
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.Stderr
	}
	return nil
}
