package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Options say what to make.
type Options struct {
	Version string    // with its v
	Root    string    // of the source
	Out     string    // folder for the results, emptied first
	Targets []string  // as in linux/amd64; all if empty
	Key     string    // private SSH key that signs the checksums; none if empty
	Dirty   bool      // build although the source differs from its commit
	Log     io.Writer // one line a file that was made

	Maintainer string // of packages, with an address

	known map[string]string // licences that were read before, by the folders of their modules
}

// A release is one version that is being made.
type release struct {
	Options
	number  string    // the version without its v
	commit  string    // full hash
	time    time.Time // of the commit: the time of every file
	work    string    // folder for what is not given away
	targets []target
}

var versions = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$`)

// Make makes a release. It fails, and leaves what it made so far, if a step does.
func Make(ctx context.Context, o Options) (err error) {
	r, err := newRelease(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.work)) }()
	for _, step := range []func(context.Context) error{
		r.checkOut, r.build, r.writeDocuments, r.writeArchives, r.writePackages, r.writeImage, r.writeSums, r.sign,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func newRelease(ctx context.Context, o Options) (*release, error) {
	if !versions.MatchString(o.Version) {
		return nil, fmt.Errorf("version: expected one such as v0.1.0 or v0.1.0-rc.1, got %q", o.Version)
	}
	r := &release{Options: o, number: strings.TrimPrefix(o.Version, "v")}
	if r.known == nil {
		r.known = make(map[string]string)
	}
	var err error
	if r.targets, err = parseTargets(o.Targets); err != nil {
		return nil, err
	}
	// Programs are run in the root of the source.
	for _, path := range []*string{&r.Root, &r.Out, &r.Key} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return nil, err
		}
	}
	if err := r.readCommit(ctx); err != nil {
		return nil, err
	}
	if err := emptyFolder(r.Out); err != nil {
		return nil, err
	}
	r.work, err = os.MkdirTemp("", "keywatch-release")
	return r, err
}

// readCommit learns what is built, and refuses a source that no commit describes.
func (r *release) readCommit(ctx context.Context) error {
	out, err := r.command(ctx, "git", "show", "-s", "--format=%H %cI", "HEAD")
	if err != nil {
		return err
	}
	commit, when, _ := strings.Cut(strings.TrimSpace(out), " ")
	r.commit = commit
	if r.time, err = time.Parse(time.RFC3339, when); err != nil {
		return err
	}
	r.time = r.time.UTC()
	changed, err := r.command(ctx, "git", "status", "--porcelain")
	if err != nil {
		return err
	}
	if changed != "" && !r.Dirty {
		return fmt.Errorf("the source differs from its commit; commit first, or build with -dirty:\n%s", changed)
	}
	return nil
}

// checkOut has everything be made of a clone of the commit, so that no change of a file
// while the release is made gets into it.
func (r *release) checkOut(ctx context.Context) error {
	if r.Dirty {
		return nil
	}
	clone := filepath.Join(r.work, "source")
	for _, args := range [][]string{
		{"clone", "-q", "--no-checkout", r.Root, clone},
		{"-C", clone, "checkout", "-q", "--detach", r.commit},
	} {
		if _, err := r.command(ctx, "git", args...); err != nil {
			return err
		}
	}
	r.Root = clone
	return nil
}

// emptyFolder makes a folder without files. It refuses to delete what no release made.
func emptyFolder(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range list {
		if !strings.HasPrefix(e.Name(), "keywatch_") && !strings.HasPrefix(e.Name(), sumsName) {
			return fmt.Errorf("%s holds %s, which no release made; name another folder", dir, e.Name())
		}
	}
	return errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755))
}

// result names a file that is given away, and logs it.
func (r *release) result(format string, args ...any) string {
	name := "keywatch_" + r.number + "_" + fmt.Sprintf(format, args...)
	fmt.Fprintln(r.Log, name)
	return filepath.Join(r.Out, name)
}
