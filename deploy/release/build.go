package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// A target is a system that a release is built for.
type target struct{ os, arch string }

// all are the targets of a release.
var all = []target{
	{"linux", "amd64"}, {"linux", "arm64"},
	{"darwin", "amd64"}, {"darwin", "arm64"},
	{"windows", "amd64"}, {"windows", "arm64"},
}

// host is the machine that makes the release.
var host = target{runtime.GOOS, runtime.GOARCH}

func (t target) String() string { return t.os + "/" + t.arch }

// program is the name of the command on t.
func (t target) program() string {
	if t.os == "windows" {
		return "keywatch.exe"
	}
	return "keywatch"
}

// parseTargets reads targets as in linux/amd64; none stands for all.
func parseTargets(names []string) ([]target, error) {
	if len(names) == 0 {
		return all, nil
	}
	var list []target
	for _, name := range names {
		i := slices.IndexFunc(all, func(t target) bool { return t.String() == name })
		if i < 0 {
			return nil, fmt.Errorf("targets: expected some of %v, got %q", all, name)
		}
		list = append(list, all[i])
	}
	return list, nil
}

// has reports whether the release is built for t.
func (r *release) has(t target) bool { return slices.Contains(r.targets, t) }

// binary is where the command for t is built.
func (r *release) binary(t target) string {
	return filepath.Join(r.work, t.os+"_"+t.arch, t.program())
}

// build builds the command for every target, and for the host, which prints the
// documents.
func (r *release) build(ctx context.Context) error {
	list := r.targets
	if !r.has(host) {
		list = append(slices.Clone(list), host)
	}
	for _, t := range list {
		if err := r.buildFor(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (r *release) buildFor(ctx context.Context, t target) error {
	flags := fmt.Sprintf("-s -w -buildid= -X main.release=%s", r.Version)
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags", flags, "-o", r.binary(t), "./app/keywatch")
	// A setting of the machine must not reach the binary.
	c.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0", "GOOS="+t.os, "GOARCH="+t.arch)
	_, err := r.do(c)
	return err
}

// command runs a program in the root of the source and returns what it printed.
func (r *release) command(ctx context.Context, name string, args ...string) (string, error) {
	return r.do(exec.CommandContext(ctx, name, args...))
}

func (r *release) do(c *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	c.Dir, c.Stderr = r.Root, &stderr
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(c.Args[:min(3, len(c.Args))], " "), err, stderr.String())
	}
	return string(out), nil
}
