package object_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/kv"
	"keywatch/persist/object"
)

// A proposer is a func that implements object.Proposer.
type proposer func(context.Context, *kv.Command) (kv.Result, error)

func (p proposer) Propose(ctx context.Context, c *kv.Command) (kv.Result, error) { return p(ctx, c) }

// A mover that never rested, or that put all references of a segment into one
// command, would slow down everybody who reads and writes meanwhile.
func TestMoverWorksInSmallPieces(t *testing.T) {
	const small, large = 3000, 10
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, openDir(t))
		w.calm = true
		put := func(key string, size int) {
			op := kv.Op{Kind: kv.OpPut, Key: key, Value: []byte(strings.Repeat("v", size))}
			w.apply(kv.EncodeEntry(int64(len(w.log)), &kv.Command{Ops: []kv.Op{op}}))
		}
		for i := range small {
			put(fmt.Sprintf("small/%d", i), 500)
		}
		for i := range large {
			put(fmt.Sprintf("large/%d", i), 100<<10)
		}
		w.checkpoint()
		var refs, segments, rests int
		m := object.NewMover(object.MoverOptions{
			Store: w.store, ID: 7, State: func() *kv.State { return w.state }, SegmentSize: 400_000,
			Log: proposer(func(ctx context.Context, c *kv.Command) (kv.Result, error) {
				bytes := 0
				for _, r := range c.Refer.Refs {
					bytes += r.Size
				}
				if n := len(c.Refer.Refs); n > 128 || n > 1 && bytes > 256<<10 {
					t.Errorf("a command carries %d references to %d bytes", n, bytes)
				}
				refs += len(c.Refer.Refs)
				return w.Propose(ctx, c)
			}),
			Step: func(s object.Step) error {
				if s == object.StepPacked {
					segments++
					time.Sleep(10 * time.Millisecond)
				}
				return nil
			},
			Rest: func(_ context.Context, worked time.Duration) {
				if rests++; worked < 2*time.Millisecond {
					t.Errorf("it rests after %v", worked)
				}
				time.Sleep(time.Second) // which is no work
			},
		})
		began := time.Now()
		moved, err := m.Move(t.Context(), 0, func(kv.Resident) bool { return true })
		if err != nil || moved.Values != small+large || refs != small+large {
			t.Errorf("moved %+v with %d references: %v", moved, refs, err)
		}
		// The last segment is shipped when there is nothing left to rest for.
		if segments < 5 || rests < segments-1 || rests > segments {
			t.Errorf("%d rests for %d segments in %v", rests, segments, time.Since(began))
		}
	})
}
