package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"io"
	"os"
	"path/filepath"
	"time"
)

// An entry is a file in an archive.
type entry struct {
	name string
	mode os.FileMode
	data []byte
}

// writeArchives writes an archive and a list of components for each target.
func (r *release) writeArchives(ctx context.Context) error {
	for _, t := range r.targets {
		modules, err := r.modules(ctx, t)
		if err != nil {
			return err
		}
		notice, err := r.writeNotice(t, modules)
		if err != nil {
			return err
		}
		if err := r.writeComponents(t, modules); err != nil {
			return err
		}
		entries, err := r.entries(t, notice)
		if err != nil {
			return err
		}
		if err := r.writeArchive(t, entries); err != nil {
			return err
		}
	}
	return nil
}

// entries returns what an archive for t holds.
func (r *release) entries(t target, notice []byte) ([]entry, error) {
	list := []entry{{"NOTICE", 0o644, notice}}
	add := func(name string, mode os.FileMode, path string) error {
		data, err := os.ReadFile(path)
		list = append(list, entry{name, mode, data})
		return err
	}
	if err := add(t.program(), 0o755, r.binary(t)); err != nil {
		return nil, err
	}
	for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md"} {
		if err := add(name, 0o644, filepath.Join(r.Root, name)); err != nil {
			return nil, err
		}
	}
	for _, d := range documents {
		if err := add(d.name, 0o644, filepath.Join(r.work, d.name)); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// writeArchive packs entries below one folder, which is named as the archive.
func (r *release) writeArchive(t target, entries []entry) error {
	pack, suffix := packTarGzip, "tar.gz"
	if t.os == "windows" {
		pack, suffix = packZip, "zip"
	}
	folder := "keywatch_" + r.number + "_" + t.os + "_" + t.arch + "/"
	for i := range entries {
		entries[i].name = folder + entries[i].name
	}
	data, err := pack(entries, r.time)
	if err != nil {
		return err
	}
	return os.WriteFile(r.result("%s_%s.%s", t.os, t.arch, suffix), data, 0o644)
}

func packTar(entries []entry, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: int64(e.mode), Size: int64(len(e.data)), ModTime: at, Format: tar.FormatUSTAR, Uname: "root", Gname: "root"}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

func packTarGzip(entries []entry, at time.Time) ([]byte, error) {
	data, err := packTar(entries, at)
	if err != nil {
		return nil, err
	}
	return compressed(data)
}

func packZip(entries []entry, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(out, flate.BestCompression)
	})
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: at}
		h.SetMode(e.mode)
		f, err := w.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(e.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}
