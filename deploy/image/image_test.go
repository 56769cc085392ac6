package image_test

import (
	"encoding/json"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"keywatch/deploy/image"
)

// options describe an image whose commands are the files that are given, by architecture.
func options(t *testing.T, binary map[string]string) image.Options {
	notice := filepath.Join(t.TempDir(), "NOTICE")
	if err := os.WriteFile(notice, []byte("notice\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	o := image.Options{
		Version: "0.1.0", Commit: strings.Repeat("c", 40), Time: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC),
		Binary: binary, Notice: make(map[string]string),
	}
	for arch := range binary {
		o.Notice[arch] = notice
	}
	return o
}

// fake returns options of an image whose commands cannot be run.
func fake(t *testing.T) image.Options {
	path := filepath.Join(t.TempDir(), "binary")
	if err := os.WriteFile(path, []byte("binary"), 0o755); err != nil {
		t.Fatal(err)
	}
	return options(t, map[string]string{"amd64": path, "arm64": path})
}

// write writes a layout and returns its folder.
func write(t *testing.T, o image.Options) string {
	dir := filepath.Join(t.TempDir(), "layout")
	if err := image.Write(dir, o); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tree returns the contents of all files below dir.
func tree(t *testing.T, dir string) map[string]string {
	files := make(map[string]string)
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		files[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// If two runs differed, an image could not be compared with its source.
func TestSameBytes(t *testing.T) {
	o := fake(t)
	first, second := tree(t, write(t, o)), tree(t, write(t, o))
	if len(first) < 7 || len(first) != len(second) {
		t.Fatalf("%d files, then %d", len(first), len(second))
	}
	for path, data := range first {
		if second[path] != data {
			t.Errorf("%s differs", path)
		}
	}
}

// If the index were not valid, or lost something on its way through a registry, an
// engine would refuse it or pull another image than was made.
func TestPushedAndPulled(t *testing.T) {
	root, err := layout.ImageIndexFromPath(write(t, fake(t)))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := root.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	index, err := root.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/keywatch:0.1.0")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index); err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	want, got := digest(t, index), digest(t, pulled)
	if want != got {
		t.Errorf("pushed %v, pulled %v", want, got)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		one, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: arch}))
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(one); err != nil {
			t.Errorf("%s: %v", arch, err)
		}
	}
}

func digest(t *testing.T, index v1.ImageIndex) v1.Hash {
	d, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// If the Dockerfile said something else than the layout, those who build with it would
// run another server.
func TestDockerfileAgrees(t *testing.T) {
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	config := image.Config(image.Options{})
	command, _ := json.Marshal(config.Entrypoint)
	arguments, _ := json.Marshal(config.Cmd)
	want := []string{
		"FROM scratch",
		"COPY --chown=0:0 --chmod=755 keywatch " + image.Binary,
		"COPY --chown=" + config.User + " --chmod=700 data " + image.Data,
		"ENV " + strings.Join(config.Env, " "),
		"USER " + config.User,
		"WORKDIR " + config.WorkingDir,
		"VOLUME " + image.Data,
		"EXPOSE 7070",
		"STOPSIGNAL " + config.StopSignal,
		"ENTRYPOINT " + string(command),
		"CMD " + string(arguments),
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			got = append(got, line)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("Dockerfile:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if _, ok := config.ExposedPorts["7070/tcp"]; !ok || len(config.ExposedPorts) != 1 {
		t.Errorf("ports: %v", config.ExposedPorts)
	}
}
