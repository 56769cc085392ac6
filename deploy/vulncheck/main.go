// Command vulncheck looks for known vulnerabilities in code that keywatch calls. It needs
// no network: the database is a module, pinned in go.mod.
//
// A finding counts if a call reaches it. It fails the check if a release of its module, or
// of Go, mends it: raise that in go.mod. A finding that nothing mends may be allowed in the
// file allowed, with a reason and until a date.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, ".."); err != nil {
		fmt.Fprintln(os.Stderr, "vulncheck:", err)
		os.Exit(1)
	}
}

// run checks the module in the folder root. It is run in the folder of this module.
func run(ctx context.Context, root string) error {
	text, err := os.ReadFile("vulncheck/allowed")
	if err != nil {
		return err
	}
	list, err := parseAllowed(string(text))
	if err != nil {
		return err
	}
	chosen, err := toolchain(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "keywatch-vulncheck")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	version, err := database(ctx, dir)
	if err != nil {
		return err
	}
	report, err := output(ctx, "go", "tool", "govulncheck", "-C", root, "-db", "file://"+dir, "-format", "json", "./...")
	if err != nil {
		return err
	}
	found, err := parseFindings(bytes.NewReader(report))
	if err != nil {
		return err
	}
	v := judge(found, list, chosen, time.Now())
	fmt.Printf("database %s\n%s", version, v.text())
	if len(v.bad) > 0 {
		return fmt.Errorf("%d findings must be mended", len(v.bad))
	}
	return nil
}

// database writes the database to a folder and returns its version.
func database(ctx context.Context, dir string) (version string, err error) {
	out, err := output(ctx, "go", "list", "-m", "-f", "{{.Version}}\t{{.Dir}}", "golang.org/x/vulndb")
	if err != nil {
		return "", err
	}
	version, source, _ := strings.Cut(strings.TrimSpace(string(out)), "\t")
	if source == "" {
		return "", errors.New("golang.org/x/vulndb is not in the module cache; run go mod download")
	}
	_, err = output(ctx, "go", "tool", "indexdb", "-vulns", filepath.Join(source, "data/osv"), "-out", dir)
	return version, err
}

func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	var stderr bytes.Buffer
	c := exec.CommandContext(ctx, name, args...)
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s%s", strings.Join(c.Args[:min(3, len(c.Args))], " "), err, out, stderr.String())
	}
	return out, nil
}
