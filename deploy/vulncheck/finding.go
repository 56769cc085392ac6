package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/mod/modfile"
)

// standard is how findings name the standard library.
const standard = "stdlib"

// A finding is one way on which a vulnerability can be reached.
type finding struct {
	OSV   string `json:"osv"`
	Fixed string `json:"fixed_version"` // empty if no release mends it
	Trace []struct {
		Module   string `json:"module"`
		Version  string `json:"version"`
		Package  string `json:"package"`
		Function string `json:"function"`
	} `json:"trace"` // from the vulnerable symbol to ours
}

// called reports whether code of ours calls what is vulnerable, directly or not.
func (f *finding) called() bool { return len(f.Trace) > 0 && f.Trace[0].Function != "" }

// parseFindings reads what govulncheck prints as JSON. It fails if that is not a whole
// report.
func parseFindings(r io.Reader) (list []finding, err error) {
	scanned := false
	for d := json.NewDecoder(r); ; {
		var message struct {
			SBOM    json.RawMessage `json:"SBOM"`
			Finding *finding        `json:"finding"`
		}
		err := d.Decode(&message)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("report of govulncheck: %w", err)
		}
		scanned = scanned || message.SBOM != nil
		if message.Finding != nil {
			list = append(list, *message.Finding)
		}
	}
	if !scanned {
		return nil, errors.New("report of govulncheck: it does not say what was scanned")
	}
	return list, nil
}

// toolchain returns the release of Go that a go.mod asks for, such as v1.26.11.
func toolchain(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	mod, err := modfile.Parse(path, data, nil)
	if err != nil {
		return "", err
	}
	if mod.Toolchain == nil {
		return "", fmt.Errorf("%s has no line toolchain", path)
	}
	return "v" + mod.Toolchain.Name[len("go"):], nil
}
