package app_test

import (
	"context"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/app"
	"keywatch/persist/disk"
)

// A stuck is a disk on which, once it hangs, no fsync ends before it is released.
type stuck struct {
	disk.FS
	hangs    atomic.Bool
	waits    chan struct{} // gets an element when an fsync hangs, if there is room
	released chan struct{} // closed when they end
}

func (s *stuck) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := s.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return stuckFile{f, s}, nil
}

type stuckFile struct {
	disk.File
	disk *stuck
}

func (f stuckFile) Sync() error {
	if f.disk.hangs.Load() {
		select {
		case f.disk.waits <- struct{}{}:
		default:
		}
		<-f.disk.released
	}
	return f.File.Sync()
}

// If this failed, a server whose disk hangs would not end until it is killed.
func TestStopOnADiskThatHangs(t *testing.T) {
	s := &stuck{FS: disk.OS, waits: make(chan struct{}, 1), released: make(chan struct{})}
	fatal := make(chan error, 4)
	config := app.ServeConfig{
		Config: app.Config{Data: t.TempDir(), Fatal: func(err error) { fatal <- err }}.OnDisk(s),
		Listen: "127.0.0.1:0", Grace: time.Millisecond,
	}.StopSpare(time.Millisecond)
	ctx, stop := context.WithCancel(t.Context())
	began, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() { ended <- app.Serve(ctx, config, func(a net.Addr) { began <- a }) }()
	url := "http://" + (<-began).String()
	s.hangs.Store(true)
	go func() {
		req, err := http.NewRequest(http.MethodPut, url+"/v1/kv/k", strings.NewReader("v"))
		if err != nil {
			t.Error(err)
			return
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	<-s.waits
	stop()
	select {
	case err := <-fatal:
		if !strings.Contains(err.Error(), "the disk does not answer") {
			t.Errorf("it ends because of %v", err)
		}
	case err := <-ended:
		t.Errorf("it has stopped, with %v, and the disk hangs", err)
	}
	close(s.released)
	<-ended
}
