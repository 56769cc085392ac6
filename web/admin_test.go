package web_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"keywatch/test/gate"
	"keywatch/web"
)

// workingAdmin returns operator's functions that succeed.
func workingAdmin() web.Admin {
	return web.Admin{
		Checkpoint: func(context.Context) error { return nil },
		Compact:    func(context.Context) error { return nil },
		Migrate:    func(context.Context) error { return nil },
		Backup: func(_ context.Context, w io.Writer) (int64, error) {
			n, err := io.Copy(w, strings.NewReader(strings.Repeat("backup", 50_000)))
			return n, err
		},
		BackupSize: func() int64 { return 300_000 },
		Status:     func() any { return map[string]int{"peers": 1} },
	}
}

// A backup that came through shortened or changed would be found out on the day
// it is needed.
func TestBackup(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.Admin = workingAdmin() })
	r := w.want(200, "GET", "/v1/admin/backup", "")
	if want := strings.Repeat("backup", 50_000); r.body != want {
		t.Errorf("got %d bytes, want %d", len(r.body), len(want))
	}
	if got := r.header.Get("Keywatch-Backup-Size"); got != "300000" {
		t.Errorf("Keywatch-Backup-Size is %q", got)
	}
}

// If the parameter were overlooked, a backup would lack what it was to include.
func TestBackupWithObjects(t *testing.T) {
	w := newWorld(t, func(o *web.Options) {
		o.Admin = workingAdmin()
		o.Admin.FullBackup = func(_ context.Context, w io.Writer) (int64, error) {
			n, err := io.WriteString(w, "whole")
			return int64(n), err
		}
	})
	for query, want := range map[string]string{"?objects=1": "whole", "?objects=0": strings.Repeat("backup", 50_000)} {
		r := w.want(200, "GET", "/v1/admin/backup"+query, "")
		if r.body != want || (r.header.Get("Keywatch-Backup-Size") == "") != (want == "whole") {
			t.Errorf("%s: %d bytes, %v", query, len(r.body), r.header)
		}
	}
	w.refused(400, "bad_parameter", "GET", "/v1/admin/backup?objects=yes", "")
	w.refused(400, "bad_parameter", "GET", "/v1/admin/backup?object=1", "")
}

// A backup that fails must not look like a whole one: before the first byte it
// is an error, later the body has no end.
func TestBackupFails(t *testing.T) {
	broken := errors.New("disk on fire")
	var early bool
	w := newWorld(t, func(o *web.Options) {
		o.Admin.Backup = func(_ context.Context, w io.Writer) (int64, error) {
			if early {
				return 0, broken
			}
			_, err := io.WriteString(w, strings.Repeat("x", 100_000))
			return 0, errors.Join(err, broken)
		}
	})
	early = true
	if r := w.refused(500, "internal", "GET", "/v1/admin/backup", ""); strings.Contains(r.body, "fire") {
		t.Errorf("the inner error shows outside: %s", r.body)
	}
	early = false
	resp, err := w.client.Get(w.base + "/v1/admin/backup")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("a backup that broke half-way was read to a proper end")
	}
}

// Backups without a bound would hold as many transactions and buffers: one more than may be
// read must be refused by a code of its own, and get its turn when one has ended.
func TestBackupsAreBounded(t *testing.T) {
	finish, began := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(o *web.Options) {
		o.MaxBackups = 1
		o.Admin.Backup = func(_ context.Context, w io.Writer) (int64, error) {
			close(began)
			<-finish
			return 0, nil
		}
		o.Admin.FullBackup = func(context.Context, io.Writer) (int64, error) { return 0, nil }
	})
	first := make(chan string, 1)
	go func() {
		resp, err := w.client.Get(w.base + "/v1/admin/backup")
		if err != nil {
			first <- err.Error()
			return
		}
		resp.Body.Close()
		first <- resp.Status
	}()
	<-began
	for _, query := range []string{"", "?objects=1"} {
		r := w.refused(429, "too_many_backups", "GET", "/v1/admin/backup"+query, "")
		if !strings.Contains(r.body, "--max-backups") || r.field("limit") != 1.0 {
			t.Errorf("got %s, want the limit and its flag", r.body)
		}
	}
	if text := w.want(200, "GET", "/metrics", "").body; !strings.Contains(text, "\nkeywatch_backups 1\n") {
		t.Error("the metrics do not show the backup that is read")
	}
	close(finish)
	if got := <-first; got != "200 OK" {
		t.Errorf("the first: got %s", got)
	}
	gate.Until(t, func() bool { return w.do("GET", "/v1/admin/backup?objects=1", "").status == 200 }, "a place is not given back")
}

// A client that hangs up must end the backup, which holds a transaction open.
func TestBackupClientLeaves(t *testing.T) {
	ended := make(chan error, 1)
	w := newWorld(t, func(o *web.Options) {
		o.Admin.Backup = func(ctx context.Context, w io.Writer) (int64, error) {
			buf := make([]byte, 1<<20)
			for {
				if _, err := w.Write(buf); err != nil {
					ended <- err
					return 0, err
				}
			}
		}
	})
	resp, err := w.client.Get(w.base + "/v1/admin/backup")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 1<<20)
	resp.Body.Close()
	if err := <-ended; err == nil {
		t.Error("the backup did not learn that nobody reads it")
	}
}

// The operator's routes must report what their work failed with, and not exist
// where there is no work to do.
func TestAdminWork(t *testing.T) {
	ran := 0
	w := newWorld(t, func(o *web.Options) {
		o.Admin.Checkpoint = func(context.Context) error { ran++; return nil }
	})
	if r := w.want(200, "POST", "/v1/admin/checkpoint", ""); r.field("took_ms") == nil || ran != 1 {
		t.Errorf("got %s after %d runs", r.body, ran)
	}
	w.refused(405, "method_not_allowed", "GET", "/v1/admin/checkpoint", "")
	w.refused(404, "no_route", "POST", "/v1/admin/compact", "")
	w.refused(404, "no_route", "POST", "/v1/admin/migrate", "")
	w.refused(404, "no_route", "GET", "/v1/admin/backup", "")
	if ran != 1 {
		t.Errorf("the checkpoint ran %d times", ran)
	}
}

// If this failed, a stop would wait for the operator's jobs until its time is up, and then
// call them an error.
func TestStopEndsAdminWork(t *testing.T) {
	began := make(chan struct{})
	w := newWorld(t, func(o *web.Options) {
		o.Admin = workingAdmin()
		o.Admin.Compact = func(ctx context.Context) error {
			close(began)
			<-ctx.Done()
			return ctx.Err()
		}
	})
	answered := make(chan reply, 1)
	go func() { answered <- w.do("POST", "/v1/admin/compact", "") }()
	<-began
	if err := w.server.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if r := <-answered; r.status != 503 || r.code() != "stopping" {
		t.Errorf("got %d %s, want 503 stopping", r.status, r.body)
	}
}
