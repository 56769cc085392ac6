package cluster

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// If this failed, a server of another release would fill the log of this one.
func TestDroppedFramesAreSaidNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		n := &Node{opts: Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}}
		for range 250 {
			n.Receive(7, []byte{255})
			time.Sleep(100 * time.Millisecond)
		}
		if said := strings.Count(log.String(), "frames of another server are dropped"); said != 3 {
			t.Errorf("in 25 seconds that was said %d times, want 3", said)
		}
	})
}
