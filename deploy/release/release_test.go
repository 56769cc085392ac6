package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"keywatch/deploy/try"
)

// If a release from another folder differed in a byte, no one could tell whether it was
// made from the source that it names.
func TestSameBytesFromAnotherFolder(t *testing.T) {
	first := made(t)
	second, err := makeFromClone(t, "another-folder", false)
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir(second)
	if err != nil || len(list) != 6 {
		t.Fatalf("%d results, %v", len(list), err)
	}
	for _, e := range list {
		if !bytes.Equal(content(t, filepath.Join(first, e.Name())), content(t, filepath.Join(second, e.Name()))) {
			t.Errorf("%s differs", e.Name())
		}
	}
}

// If a user could not check what was downloaded, by the commands that the documents name,
// the checksums would be of no use; and a signature that holds for other bytes too.
func TestChecksumsAndSignature(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(made(t))); err != nil {
		t.Fatal(err)
	}
	check := "cd " + dir + " && sha256sum -c " + sumsName +
		" && ssh-keygen -Y verify -f SHA256SUMS.signers -I keywatch-release -n file -s SHA256SUMS.sig <SHA256SUMS"
	out := try.Run(t, "sh", "-c", check)
	if n := strings.Count(out, ": OK\n"); n != 5 || !strings.Contains(out, "Good \"file\" signature") {
		t.Errorf("%d files are right:\n%s", n, out)
	}
	sums := filepath.Join(dir, sumsName)
	if err := os.WriteFile(sums, append(content(t, sums), '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	r := &release{Options: Options{Root: dir}}
	if err := r.verify(t.Context(), sums, sums+".signers"); err == nil {
		t.Error("the signature holds for other checksums")
	}
}

// If an archive lacked the licence, the command or its documents, it could not be passed
// on or used.
func TestArchive(t *testing.T) {
	zipped, err := gzip.NewReader(bytes.NewReader(content(t, file(t, ".tar.gz"))))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	got := make(map[string]int64)
	for r := tar.NewReader(zipped); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(h.Name, "/")
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got[name] = h.Mode
		if err := errors.Join(writeFile(filepath.Join(dir, name), data), os.Chmod(filepath.Join(dir, name), os.FileMode(h.Mode))); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]int64{
		"keywatch": 0o755, "LICENSE": 0o644, "NOTICE": 0o644, "README.md": 0o644, "CHANGELOG.md": 0o644, "keywatch.1": 0o644,
		"completions/keywatch.bash": 0o644, "completions/_keywatch": 0o644, "completions/keywatch.fish": 0o644,
	} {
		if got[name] != mode {
			t.Errorf("%s has mode %o, want %o", name, got[name], mode)
		}
	}
	var says struct{ Version, Commit, Date string }
	out := try.Run(t, filepath.Join(dir, "keywatch"), "version", "-o", "json")
	if err := json.Unmarshal([]byte(out), &says); err != nil || says.Version != "v0.1.0" || says.Commit != commit(t, "%H") {
		t.Errorf("keywatch version printed %q, %v", out, err)
	}
	made, err := time.Parse(time.RFC3339, says.Date)
	if want := commit(t, "%ct"); err != nil || strconv.FormatInt(made.Unix(), 10) != want {
		t.Errorf("keywatch version printed the date %q, want the commit's, %s s", says.Date, want)
	}
	if page := string(content(t, filepath.Join(dir, "keywatch.1"))); !strings.Contains(page, `"keywatch v0.1.0"`) {
		t.Error("the manual page does not name the release")
	}
	notice := string(content(t, filepath.Join(dir, "NOTICE")))
	for _, want := range []string{"\n  Apache-2.0    go.etcd.io/raft/v3 ", "\n  BSD-3-Clause  std go1.", "Copyright (c) 2020 Josh Baker"} {
		if !strings.Contains(notice, want) {
			t.Errorf("NOTICE lacks %q", want)
		}
	}
}

// head returns the hash of the commit that is tested.
// commit returns what git says of the commit that is built.
func commit(t *testing.T, format string) string {
	return strings.TrimSpace(try.Run(t, "git", "-C", try.Root(t), "log", "-1", "--format="+format))
}

// If a release could be made of what no commit describes, of a version that packages
// cannot order, or over files of other kinds, a mistake would be given away or destroyed.
func TestRefuses(t *testing.T) {
	o := Options{Version: "v0.1.0", Root: try.Root(t), Out: t.TempDir(), Log: io.Discard, Dirty: true}
	for _, c := range []struct {
		want   string
		change func(*Options)
	}{
		{"version: expected one such as v0.1.0", func(o *Options) { o.Version = "0.1" }},
		{"targets: expected some of", func(o *Options) { o.Targets = []string{"plan9/386"} }},
		{"holds photo.jpg, which no release made", func(o *Options) { _ = writeFile(filepath.Join(o.Out, "photo.jpg"), nil) }},
		{"differs from its commit", func(o *Options) {
			try.Run(t, "git", "clone", "-q", o.Root, filepath.Join(o.Out, "keywatch_source"))
			o.Root, o.Dirty = filepath.Join(o.Out, "keywatch_source"), false
			_ = writeFile(filepath.Join(o.Root, "more.go"), []byte("package more"))
		}},
	} {
		o := o
		o.Out = t.TempDir()
		c.change(&o)
		if err := Make(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
