// Package image writes the container image of keywatch as an OCI layout, without a
// container engine and without a base image: the binary is static, so the image holds
// the binary, the name of its user and an empty folder for data.
//
// The bytes of a layout depend on nothing but its Options.
package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// User is the user and the group that the server runs as; no system has another
	// user of that number.
	User = 65532
	// Data is the folder for data: the only one that User may write to.
	Data = "/data"
	// Binary is the path of the command.
	Binary = "/usr/bin/keywatch"
)

// Options describe an image.
type Options struct {
	Version string            // without a v
	Commit  string            // full hash of the source
	Time    time.Time         // of everything in the image
	Binary  map[string]string // the path of the Linux command, by architecture
	Notice  map[string]string // the path of its list of licences, by architecture
}

// Write writes an index of one image for each architecture to a new folder.
func Write(dir string, o Options) error {
	index, err := Index(o)
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("image: %s exists", dir)
	}
	var root v1.ImageIndex = empty.Index
	root = mutate.AppendManifests(root, mutate.IndexAddendum{
		Add:        index,
		Descriptor: v1.Descriptor{Annotations: map[string]string{"org.opencontainers.image.ref.name": "keywatch:" + o.Version}},
	})
	_, err = layout.Write(dir, root)
	return err
}

// Index returns the index of the images.
func Index(o Options) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range slices.Sorted(mapKeys(o.Binary)) {
		image, err := one(o, arch)
		if err != nil {
			return nil, fmt.Errorf("image for %s: %w", arch, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        image,
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	return index, nil
}

func mapKeys(m map[string]string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// one returns the image of one architecture.
func one(o Options, arch string) (v1.Image, error) {
	files, err := files(o, arch)
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil }
	layer, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(9), tarball.WithCompressedCaching)
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{
		Created: v1.Time{Time: o.Time}, CreatedBy: "keywatch release", Comment: "keywatch " + o.Version,
	}}); err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	config.Created, config.Config = v1.Time{Time: o.Time}, Config(o)
	return mutate.ConfigFile(image, config)
}

// Config is how the image is run. The server listens on all addresses of its container,
// and so refuses to start until the one who runs it has said with --insecure that all who
// reach it may use it.
func Config(o Options) v1.Config {
	return v1.Config{
		User:         fmt.Sprintf("%d:%d", User, User),
		Entrypoint:   []string{Binary},
		Cmd:          []string{"serve"},
		Env:          []string{"KEYWATCH_DATA=" + Data, "KEYWATCH_LISTEN=0.0.0.0:7070"},
		WorkingDir:   Data,
		Volumes:      map[string]struct{}{Data: {}},
		ExposedPorts: map[string]struct{}{"7070/tcp": {}},
		StopSignal:   "SIGTERM",
		Labels: map[string]string{
			"org.opencontainers.image.title":       "keywatch",
			"org.opencontainers.image.description": "Real-time key-watch and compare-and-swap server",
			"org.opencontainers.image.licenses":    "Apache-2.0",
			"org.opencontainers.image.version":     o.Version,
			"org.opencontainers.image.revision":    o.Commit,
			"org.opencontainers.image.created":     o.Time.UTC().Format(time.RFC3339),
		},
	}
}

// files returns the tar of everything in the image.
func files(o Options, arch string) ([]byte, error) {
	binary, err := os.ReadFile(o.Binary[arch])
	if err != nil {
		return nil, err
	}
	notice, err := os.ReadFile(o.Notice[arch])
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range []struct {
		name  string
		mode  int64
		owner int
		data  []byte
	}{
		{"data/", 0o700, User, nil},
		{"etc/", 0o755, 0, nil},
		{"etc/group", 0o644, 0, fmt.Appendf(nil, "keywatch:x:%d:\n", User)},
		{"etc/passwd", 0o644, 0, fmt.Appendf(nil, "keywatch:x:%d:%d:keywatch:%s:/sbin/nologin\n", User, User, Data)},
		{"usr/", 0o755, 0, nil},
		{"usr/bin/", 0o755, 0, nil},
		{"usr/bin/keywatch", 0o755, 0, binary},
		{"usr/share/", 0o755, 0, nil},
		{"usr/share/doc/", 0o755, 0, nil},
		{"usr/share/doc/keywatch/", 0o755, 0, nil},
		{"usr/share/doc/keywatch/NOTICE", 0o644, 0, notice},
	} {
		h := &tar.Header{Name: f.name, Mode: f.mode, Uid: f.owner, Gid: f.owner, Size: int64(len(f.data)), ModTime: o.Time, Format: tar.FormatUSTAR, Typeflag: tar.TypeReg}
		if f.data == nil {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return b.Bytes(), err
}
