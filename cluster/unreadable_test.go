package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/cluster"
	"keywatch/cluster/core"
	"keywatch/kv"
	"keywatch/persist/wal"
)

// A damaged is a log of which entries cannot be read.
type damaged struct {
	core.Log
	err error
}

func (d *damaged) Read(index uint64, e *wal.Entry) error {
	if d.err != nil {
		return d.err
	}
	return d.Log.Read(index, e)
}

// Raft panics where its storage fails. An operator must get the reason, as an error of the
// start, and nothing may be applied.
func TestUnreadableLogIsAnErrorOfTheStart(t *testing.T) {
	opts := memory()
	n := open(t, opts)
	for i := range 5 {
		mustPropose(t, n, put(fmt.Sprint("k", i), "v", 0))
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	unreadable := errors.New("byte 17 is not what it was")
	log := &damaged{Log: opts.Log}
	opts.Log, opts.State = log, kv.NewState(kv.StateOptions{Presize: 64})
	ended := 0
	opts.Fatal = func(error) { ended++ }
	opts.Stable = &later{opts.Stable, func() { log.err = unreadable }}
	if _, err := cluster.Open(t.Context(), opts); !errors.Is(err, unreadable) {
		t.Errorf("open: got %v, want %v", err, unreadable)
	}
	if ended != 1 || opts.State.Len() != 0 {
		t.Errorf("the node ended %d times with %d keys, want once with none", ended, opts.State.Len())
	}
}

// later is a stable store that does something when it is written to.
type later struct {
	core.Stable
	do func()
}

func (l *later) SetHard(h wal.Hard) error {
	l.do()
	return l.Stable.SetHard(h)
}

// A counted is a log that does something when an entry is read.
type counted struct {
	core.Log
	read func()
}

func (c *counted) Read(index uint64, e *wal.Entry) error {
	c.read()
	return c.Log.Read(index, e)
}

// A start that is ended while it applies a long log must end soon, not when all is applied.
func TestStartEndsWhileTheLogIsApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := memory()
		n := open(t, opts)
		for range 40 {
			mustPropose(t, n, put("k", strings.Repeat("v", 1<<20), 0))
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		reads := 0
		opts.Log = &counted{opts.Log, func() {
			if reads++; reads == 3 {
				cancel()
				time.Sleep(time.Second) // the start notices
			}
		}}
		opts.State = kv.NewState(kv.StateOptions{Presize: 64})
		if _, err := cluster.Open(ctx, opts); !errors.Is(err, context.Canceled) {
			t.Errorf("open: got %v, want %v", err, context.Canceled)
		}
		if reads > 20 {
			t.Errorf("entries read: got %d of 42, want few after the start was ended", reads)
		}
	})
}
