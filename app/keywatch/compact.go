package main

import (
	"fmt"

	kw "keywatch/client"
)

// compactCmd gives disk space back.
type compactCmd struct{}

// Help is printed by keywatch compact --help.
func (*compactCmd) Help() string {
	return `
Copies what is current into a new checkpoint file, which replaces the old one. The
space of what was overwritten or deleted returns to the file system. The server
works on meanwhile, and needs room for both files.

Examples:

    keywatch compact
`
}

// Run waits until the server has done it, without a bound.
func (*compactCmd) Run(s *session) error {
	before, err := fileSize(s)
	if err != nil {
		return err
	}
	if err := s.work("/v1/admin/compact"); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	after, err := fileSize(s)
	if err != nil {
		return err
	}
	if s.json() {
		return s.printValue(map[string]any{"before": before, "after": after})
	}
	return s.printf("checkpoint file: %s, was %s\n", sizeText(after), sizeText(before))
}

// fileSize returns the size of the server's checkpoint file in bytes.
func fileSize(s *session) (int64, error) {
	got, err := s.kw.Do(s.ctx, &kw.Request{Path: "/v1/status"})
	if err != nil {
		return 0, err
	}
	var status struct {
		Detail struct {
			Checkpoint struct {
				FileBytes int64 `json:"file_bytes"`
			} `json:"checkpoint"`
		} `json:"detail"`
	}
	if err := decode(got.Body, &status); err != nil {
		return 0, err
	}
	return status.Detail.Checkpoint.FileBytes, nil
}
