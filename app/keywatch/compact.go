package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// compactCmd gives disk space back.
type compactCmd struct{}

// Help is printed by keywatch compact --help.
func (*compactCmd) Help() string {
	return `
Copies what is current into a new checkpoint file, which takes the old one's
place, so that the space of what was replaced or deleted returns to the file
system. The server goes on working meanwhile, and needs room for both files.

Examples:

    keywatch compact
`
}

// Run asks for it and waits until it is done, however long that takes.
func (*compactCmd) Run(s *session) error {
	before, err := fileSize(s)
	if err != nil {
		return err
	}
	r := &request{method: http.MethodPost, path: "/v1/admin/compact", query: url.Values{}, header: http.Header{}}
	resp, err := s.client.open(s.ctx, r)
	if err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	if err := resp.Body.Close(); err != nil {
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
	got, err := s.client.do(s.ctx, newRead("/v1/status"))
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
	if err := json.Unmarshal(got.body, &status); err != nil {
		return 0, fmt.Errorf("the server's answer is not JSON: %w", err)
	}
	return status.Detail.Checkpoint.FileBytes, nil
}
