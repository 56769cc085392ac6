package main

import (
	"bytes"
	"cmp"
	"context"
	"debug/buildinfo"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/go-enry/go-license-detector/v4/licensedb"
	"github.com/go-enry/go-license-detector/v4/licensedb/filer"
)

// A module is code of others that is in a binary.
type module struct {
	path, version string
	dir           string // its source
	licence       string // SPDX identifier
}

// licences are those whose terms a copy of their text fulfils. MPL-2.0 and others that
// ask for more need a decision first.
var licences = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "0BSD", "Zlib"}

// modules returns the modules in the binary for t, by path; the standard library is the
// first. It fails for a licence that is unknown or not allowed.
func (r *release) modules(ctx context.Context, t target) ([]module, error) {
	info, err := buildinfo.ReadFile(r.binary(t))
	if err != nil {
		return nil, err
	}
	dirs, err := r.sources(ctx)
	if err != nil {
		return nil, err
	}
	list := []module{{path: "std", version: info.GoVersion, dir: dirs["std"], licence: "BSD-3-Clause"}}
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			return nil, fmt.Errorf("%s is replaced; a release is built of what go.mod requires", dep.Path)
		}
		m := module{path: dep.Path, version: dep.Version, dir: dirs[dep.Path+" "+dep.Version]}
		if m.dir == "" {
			return nil, fmt.Errorf("%s %s: no source in the module cache", m.path, m.version)
		}
		if m.licence, err = r.licence(m); err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// sources returns the folders of all modules, by "path version", and that of the
// standard library.
func (r *release) sources(ctx context.Context) (map[string]string, error) {
	out, err := r.command(ctx, "go", "list", "-m", "-f", "{{.Path}} {{.Version}}\t{{.Dir}}", "all")
	if err != nil {
		return nil, err
	}
	dirs := make(map[string]string)
	for line := range strings.Lines(out) {
		name, dir, _ := strings.Cut(strings.TrimSpace(line), "\t")
		dirs[name] = dir
	}
	root, err := r.command(ctx, "go", "env", "GOROOT")
	dirs["std"] = strings.TrimSpace(root)
	return dirs, err
}

// certain is how much of a known text a licence must have, from 0 to 1. Authors leave out
// the title of MIT, so that a copy of it has 0.85.
const certain = 0.8

// licence returns the licence of a module; its text is read once.
func (r *release) licence(m module) (string, error) {
	if id := r.known[m.dir]; id != "" {
		return id, nil
	}
	id, err := detect(m)
	if err == nil {
		r.known[m.dir] = id
	}
	return id, err
}

// detect finds the licence of a module by its text.
func detect(m module) (string, error) {
	source, err := filer.FromDirectory(m.dir)
	if err != nil {
		return "", err
	}
	found, err := licensedb.Detect(source)
	if err != nil {
		return "", fmt.Errorf("licence of %s %s in %s: %w", m.path, m.version, m.dir, err)
	}
	best := slices.MaxFunc(slices.Sorted(maps.Keys(found)), func(a, b string) int {
		return cmp.Compare(found[a].Confidence, found[b].Confidence)
	})
	if found[best].Confidence < certain || !slices.Contains(licences, best) {
		return "", fmt.Errorf("licence of %s %s: %s (%.2f) is not among %v", m.path, m.version, best, found[best].Confidence, licences)
	}
	return best, nil
}

var legal = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([-.].*)?$`)

// writeNotice writes the list of modules in the binary for t, with the texts of their
// licences, and returns it.
func (r *release) writeNotice(t target, modules []module) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "keywatch %s\nLicensed under the Apache License, Version 2.0; see LICENSE.\n\n", r.number)
	fmt.Fprintf(&b, "The command for %s contains the following software.\n\n", t)
	for _, m := range modules {
		fmt.Fprintf(&b, "  %-12s  %s %s\n", m.licence, m.path, m.version)
	}
	for _, m := range modules {
		if err := appendTexts(&b, m); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), os.WriteFile(filepath.Join(r.work, "NOTICE_"+t.os+"_"+t.arch), b.Bytes(), 0o644)
}

// appendTexts appends what the authors of a module ask to be passed on.
func appendTexts(b *bytes.Buffer, m module) error {
	list, err := os.ReadDir(m.dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.IsDir() || !legal.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(m.dir, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(b, "\n%s\n%s %s: %s\n\n%s\n", strings.Repeat("=", 78), m.path, m.version, e.Name(), bytes.TrimSpace(text))
	}
	return nil
}
