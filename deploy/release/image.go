package main

import (
	"context"
	"os"
	"path/filepath"

	"keywatch/deploy/image"
)

// writeImage writes the container image for all Linux targets as one archive of an OCI
// layout, which podman, skopeo and docker load.
func (r *release) writeImage(context.Context) error {
	o := image.Options{Version: r.number, Commit: r.commit, Time: r.time, Binary: map[string]string{}, Notice: map[string]string{}}
	for _, t := range r.targets {
		if t.os == "linux" {
			o.Binary[t.arch], o.Notice[t.arch] = r.binary(t), filepath.Join(r.work, "NOTICE_"+t.os+"_"+t.arch)
		}
	}
	if len(o.Binary) == 0 {
		return nil
	}
	dir := filepath.Join(r.work, "layout")
	if err := image.Write(dir, o); err != nil {
		return err
	}
	return r.packLayout(dir, r.result("image.tar"))
}

// packLayout packs a folder, without compression: its layers are compressed.
func (r *release) packLayout(dir, to string) error {
	var entries []entry
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		entries = append(entries, entry{name, 0o644, data})
		return err
	})
	if err != nil {
		return err
	}
	data, err := packTar(entries, r.time)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}
