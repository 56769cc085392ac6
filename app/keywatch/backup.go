package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	kw "keywatch/client"
)

// backupCmd writes a backup.
type backupCmd struct {
	File           string `arg:"" help:"File to write; - is standard output."`
	IncludeObjects bool   `help:"Include the values that are in object storage."`
}

// Help is printed by keywatch backup --help.
func (*backupCmd) Help() string {
	return `
The server continues to work meanwhile. The backup shows one moment of it.

` + outputFileHelp + `

Values in object storage stay there, and the backup refers to them: a restore
requires the same object store. With --include-objects the backup has them all.

Examples:

    keywatch backup keywatch-$(date +%F).backup
    keywatch backup --include-objects full.backup
    keywatch backup - | age -r "$KEY" > keywatch.backup.age
`
}

// Run streams the backup into the file.
func (c *backupCmd) Run(s *session) error {
	var n int64
	err := s.writeFile(c.File, func(w io.Writer) (err error) {
		n, err = c.fetch(s, w)
		for deadline := time.Now().Add(s.client.timeout); refusedForNow(err) && time.Now().Before(deadline); {
			if !sleep(s.ctx, time.Second) {
				break
			}
			n, err = c.fetch(s, w)
		}
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("backup: %w", err)
	case s.isStdout(c.File):
		s.message("backup: %s", sizeText(n))
		return nil
	case s.json():
		return s.printValue(map[string]any{"file": c.File, "bytes": n})
	}
	return s.printf("%s: %s\n", c.File, sizeText(n))
}

// refusedForNow reports whether the server asks to try again later; nothing was
// written then.
func refusedForNow(err error) bool {
	var refused *kw.Error
	return errors.As(err, &refused) && refused.Temporary()
}

// fetch streams the backup once and returns its size.
func (c *backupCmd) fetch(s *session, w io.Writer) (int64, error) {
	r := &kw.Request{Path: "/v1/admin/backup", Query: url.Values{}}
	if c.IncludeObjects {
		r.Query.Set("objects", "1")
	}
	resp, err := s.kw.Open(s.ctx, r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if err := checkMedia(resp.Header); err != nil {
		return 0, err
	}
	size, _ := strconv.ParseInt(resp.Header.Get("Keywatch-Backup-Size"), 10, 64) // 0 if it is not known
	p := s.newProgress(size)
	defer p.end()
	return io.Copy(w, io.TeeReader(resp.Body, p))
}

// checkMedia fails if an answer is no backup, but a page of another server.
func checkMedia(h http.Header) error {
	if media := h.Get("Content-Type"); media != "application/octet-stream" {
		return fmt.Errorf("%w: expected application/octet-stream, got %q", kw.ErrNotKeywatch, media)
	}
	return nil
}
