package web

import (
	"bufio"
	"context"
	"io"
	"strconv"
	"sync/atomic"

	"keywatch/web/api"
)

// backups counts those that are read. Each holds a transaction on the checkpoint, whose
// file grows meanwhile, and buffers. It is safe for concurrent use.
type backups struct{ running atomic.Int64 }

// begin counts a backup until done is called. It fails with CodeTooManyBackups if most are
// running.
func (b *backups) begin(most int) (done func(), err error) {
	if b.running.Add(1) > int64(most) {
		b.running.Add(-1)
		return nil, &api.Failure{
			Code: api.CodeTooManyBackups, Limit: most,
			Detail: "as many backups are read as may be at once: try again later, or raise --max-backups",
		}
	}
	return func() { b.running.Add(-1) }, nil
}

// backup answers with a backup as it is made. A body that is cut off has no
// end, which clients of HTTP/1.1 notice.
func (r *request) backup() error {
	admin := &r.s.opts.Admin
	objects, err := r.params.flag("objects", false)
	if err == nil {
		err = r.params.done()
	}
	if err != nil {
		return err
	}
	run := admin.Backup
	if objects && admin.FullBackup != nil {
		run = admin.FullBackup
	}
	done, err := r.s.backups.begin(r.s.settings.Load().maxBackups)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(r.s.life)
	out, in := io.Pipe()
	r.s.background.Go(func() {
		defer done()
		defer cancel()
		_, err := run(ctx, in)
		_ = in.CloseWithError(err) // nil is the end of the file
	})
	b := &backupReader{pipe: out, buf: bufio.NewReaderSize(out, 64<<10), cancel: cancel}
	if _, err := b.buf.Peek(1); err != nil && err != io.EOF {
		_ = b.Close()
		return err
	}
	if admin.BackupSize != nil && !objects {
		r.header(nameBackupSize, strconv.AppendInt(r.num[:0], admin.BackupSize(), 10))
	}
	r.f.Response.Header.SetContentTypeBytes(typeBytes)
	r.f.Response.SetBodyStream(b, -1)
	return nil
}

// A backupReader passes a backup on to a client.
type backupReader struct {
	pipe   *io.PipeReader
	buf    *bufio.Reader
	cancel context.CancelFunc
}

// Read implements io.Reader.
func (b *backupReader) Read(p []byte) (int, error) { return b.buf.Read(p) }

// Close ends the backup, if it has not ended.
func (b *backupReader) Close() error {
	b.cancel()
	return b.pipe.Close()
}
