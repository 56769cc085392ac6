package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	kw "keywatch/client"
)

// importCmd writes keys that were exported.
type importCmd struct {
	File string `arg:"" optional:"" default:"-" help:"What keywatch export has written; - reads standard input."`
}

// Help is printed by keywatch import --help.
func (*importCmd) Help() string {
	return `
Writes each key of an export, in batches, over what is there; keys that the export does
not have stay. A time to live counts from the import on. Keys that belong to a lease
are left out: the lease is not in this store. A line that cannot be read ends the import
with its number, and so does a file that is cut off, at its end; what came before is
written.

Examples:

    keywatch import all.ndjson
    keywatch export config/ | keywatch import --server=10.0.0.5:7070
`
}

// Run writes the keys.
func (c *importCmd) Run(s *session) error {
	in := io.Reader(s.stdin)
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	b := &bulk{s: s}
	if err := b.read(bufio.NewReader(in)); err != nil {
		return err
	}
	return b.print()
}

// read writes what the lines say.
func (b *bulk) read(in *bufio.Reader) error {
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return err
		}
		switch {
		case isEnd(line):
			return b.flush()
		case len(bytes.TrimSpace(line)) > 0:
			var e kw.Entry
			if err := json.Unmarshal(line, &e); err != nil || e.Key == "" {
				return fmt.Errorf("line %d: expected an entry with a key: %w", n, err)
			}
			if err := b.put(e.Key, &e); err != nil {
				return fmt.Errorf("line %d or before: %w", n, err)
			}
		}
		if err == io.EOF {
			if err := b.flush(); err != nil {
				return err
			}
			return errCutOff
		}
	}
}
