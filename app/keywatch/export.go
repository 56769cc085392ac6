package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"keywatch/app"
	kw "keywatch/client"
	"keywatch/web/api"
)

// exportCmd writes keys as lines of JSON.
type exportCmd struct {
	Prefix      string `arg:"" optional:"" help:"What the keys begin with; everything by default."`
	File        string `help:"File to write; - is standard output." short:"f" default:"-"`
	Data        string `help:"Read the data folder of a server that is stopped, instead of asking one that runs." placeholder:"DIR"`
	ObjectStore string `help:"Object store of that folder, if it is not within it." placeholder:"URL"`
}

// Help is printed by keywatch export --help.
func (*exportCmd) Help() string {
	return `
Writes a line of JSON for each key, in byte order, all of one revision: key and value,
encoding if the value is not text, rev, version, ttl_ms and lease. The last line has
the position, from which a watch resumes; a file without it is cut off.

` + outputFileHelp + `

Examples:

    keywatch export > all.ndjson
    keywatch export config/ -f config.ndjson
    keywatch export --data=/var/lib/keywatch -f all.ndjson
`
}

// Run writes the lines.
func (c *exportCmd) Run(s *session) error {
	prefix := c.Prefix
	if prefix == "/" {
		prefix = ""
	}
	return s.writeFile(c.File, func(w io.Writer) error {
		out := bufio.NewWriter(w)
		from := c.fromServer
		if c.Data != "" {
			from = c.fromFolder
		}
		if err := from(s, prefix, out); err != nil {
			return err
		}
		return out.Flush()
	})
}

// errCutOff is returned for an export without its last line.
var errCutOff = errors.New("the export is cut off: its last line, with the position, is missing")

// fromServer passes on what a server that runs answers.
func (c *exportCmd) fromServer(s *session, prefix string, out *bufio.Writer) error {
	resp, err := s.kw.Open(s.ctx, &kw.Request{
		Path: "/v1/kv", Query: url.Values{"prefix": {prefix}}, Header: http.Header{"Accept": {"application/x-ndjson"}},
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	whole := false
	in := bufio.NewReader(resp.Body)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 && err == nil {
			whole = isEnd(line)
			_, err = out.Write(line)
		}
		switch {
		case err == io.EOF && whole:
			return nil
		case err == io.EOF:
			return errCutOff
		case err != nil:
			return err
		}
	}
}

// isEnd reports whether a line is the last of an export.
func isEnd(line []byte) bool {
	if !bytes.HasPrefix(line, []byte(`{"position":`)) {
		return false
	}
	var end struct {
		Position string `json:"position"`
	}
	return json.Unmarshal(line, &end) == nil && end.Position != ""
}

// fromFolder opens the store in a folder, as a start of the server would.
func (c *exportCmd) fromFolder(s *session, prefix string, out *bufio.Writer) (err error) {
	db, err := app.Open(s.ctx, app.Config{Data: c.Data, Existing: true, ObjectStore: c.ObjectStore, Version: version()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	snap, err := db.Snapshot(s.ctx)
	if err != nil {
		return err
	}
	defer snap.Close()
	var line []byte
	for item, err := range snap.List(s.ctx, prefix) {
		if err != nil {
			return err
		}
		line = append(api.AppendEntry(line[:0], item.Key, item.Entry, db.Store().Now(), true), '\n')
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "{\"position\":%q}\n", snap.Position())
	return err
}
