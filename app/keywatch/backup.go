package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	kw "keywatch/client"
)

// backupCmd writes a backup.
type backupCmd struct {
	File           string `arg:"" help:"File to write; replaced only once the backup is complete."`
	IncludeObjects bool   `help:"Include the values that lie in object storage."`
}

// Help is printed by keywatch backup --help.
func (*backupCmd) Help() string {
	return `
The server goes on working meanwhile. The backup shows one moment of it. FILE is
readable by its owner only, and is either complete and on disk, or untouched.

Values in object storage stay there, and the backup refers to them: to restore it
takes the same object store. With --include-objects the backup has them all.

Examples:

    keywatch backup keywatch-$(date +%F).backup
    keywatch backup --include-objects whole.backup
`
}

// Run streams the backup into the file.
func (c *backupCmd) Run(s *session) error {
	n, err := c.fetch(s)
	for deadline := time.Now().Add(s.client.timeout); refusedForNow(err) && time.Now().Before(deadline); {
		if !sleep(s.ctx, time.Second) {
			break
		}
		n, err = c.fetch(s)
	}
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if s.json() {
		return s.printValue(map[string]any{"file": c.File, "bytes": n})
	}
	return s.printf("%s: %s\n", c.File, sizeText(n))
}

// refusedForNow reports whether the server has only asked to come back.
func refusedForNow(err error) bool {
	var refused *kw.Error
	return errors.As(err, &refused) && refused.Temporary()
}

// fetch streams the backup once and returns its size.
func (c *backupCmd) fetch(s *session) (int64, error) {
	r := newRead("/v1/admin/backup")
	if c.IncludeObjects {
		r.query.Set("objects", "1")
	}
	resp, err := s.client.open(s.ctx, r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	p := &progress{out: s.stderr, shown: isTerminal(s.stderr), total: resp.ContentLength, started: time.Now()}
	defer p.end()
	return writeAtomically(c.File, io.TeeReader(resp.Body, p))
}

// writeAtomically makes the file at path hold what in gives, and returns how
// much that was. Until all of it is on disk the old file stays as it is.
func writeAtomically(path string, in io.Reader) (n int64, err error) {
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	f, err := os.CreateTemp(dir, "."+base+".*.tmp")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if n, err = io.Copy(f, in); err != nil {
		return n, err
	}
	if err = f.Sync(); err != nil {
		return n, err
	}
	if err = f.Close(); err != nil {
		return n, err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return n, err
	}
	return n, syncDir(dir)
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// progress shows on a terminal how much has passed through.
type progress struct {
	out     io.Writer
	shown   bool
	total   int64 // below 0 if not known
	n       int64
	started time.Time
	last    time.Time
}

// Write counts, and redraws the line five times a second.
func (p *progress) Write(b []byte) (int, error) {
	p.n += int64(len(b))
	if p.shown && time.Since(p.last) > 200*time.Millisecond {
		p.last = time.Now()
		p.draw()
	}
	return len(b), nil
}

func (p *progress) draw() {
	rate := float64(p.n) / max(time.Since(p.started).Seconds(), 1e-3)
	total := ""
	if p.total > 0 {
		total = fmt.Sprintf(" of %s, %d%%", sizeText(p.total), 100*p.n/p.total)
	}
	fmt.Fprintf(p.out, "\r%s%s, %s/s\x1b[K", sizeText(p.n), total, sizeText(int64(rate)))
}

// end wipes the line.
func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// sizeText shows a number of bytes.
func sizeText(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	size, unit := float64(n)/(1<<10), 0
	for size >= 1<<10 && unit < 3 {
		size, unit = size/(1<<10), unit+1
	}
	return fmt.Sprintf("%.1f %ciB", size, "KMGT"[unit])
}
