package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
)

// A document is a file that the command prints of its own.
type document struct {
	args []string
	name string // in an archive
	path string // in a package
}

var documents = []document{
	{[]string{"man"}, "keywatch.1", "/usr/share/man/man1/keywatch.1.gz"},
	{[]string{"completion", "bash"}, "completions/keywatch.bash", "/usr/share/bash-completion/completions/keywatch"},
	{[]string{"completion", "zsh"}, "completions/_keywatch", "/usr/share/zsh/vendor-completions/_keywatch"},
	{[]string{"completion", "fish"}, "completions/keywatch.fish", "/usr/share/fish/vendor_completions.d/keywatch.fish"},
}

// writeDocuments has the command print its documents into the work folder.
func (r *release) writeDocuments(ctx context.Context) error {
	for _, d := range documents {
		text, err := r.command(ctx, r.binary(host), d.args...)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(r.work, d.name), []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes a file and the folders above it.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// compressed returns data as gzip writes it, without a name and a time.
func compressed(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}
