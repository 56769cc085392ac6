package peer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywatch/cluster/peer"
)

// streams joins two nodes, of which the second receives streams with receive, and connects them.
func streams(t *testing.T, network *network, change func(*peer.Options), receive func(context.Context, peer.ID, []byte, io.Reader) error) (a, b *node) {
	both := func(o *peer.Options) {
		o.StreamRate = -1
		if change != nil {
			change(o)
		}
		if o.ID == 2 {
			o.ReceiveStream = receive
		}
	}
	a, b = join(t, network, 1, both), join(t, network, 2, both)
	add(t, a, b)
	pass(time.Second)
	return a, b
}

func open(t *testing.T, n *node, head string) *peer.Stream {
	t.Helper()
	st, err := n.Stream(t.Context(), 2, []byte(head))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// refused fails unless err is what the other end said, with a text.
func refused(t testing.TB, err error, text string) {
	t.Helper()
	var r *peer.RefusedError
	if !errors.As(err, &r) || !strings.Contains(r.Text, text) {
		t.Errorf("got %v, want the other end's %q", err, text)
	}
}

// If this failed, a snapshot would arrive incomplete, or its sender would not learn that it arrived.
func TestStreamArrives(t *testing.T) {
	for _, security := range []func(*peer.Options){nil, with(peer.NewToken())} {
		bubble(t, func(t *testing.T, network *network) {
			var got bytes.Buffer
			a, b := streams(t, network, security, func(_ context.Context, from peer.ID, head []byte, r io.Reader) error {
				if from != 1 || string(head) != "snapshot 7" {
					t.Errorf("node %v sends %q", from, head)
				}
				_, err := io.Copy(&got, r)
				return err
			})
			want := bytes.Repeat([]byte("0123456789"), 100_000)
			st := open(t, a, "snapshot 7")
			if n, err := io.Copy(st, bytes.NewReader(want)); n != int64(len(want)) || err != nil {
				t.Fatalf("%d bytes written, %v", n, err)
			}
			for range 2 {
				if err := st.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%d bytes arrived, want %d", got.Len(), len(want))
			}
			synctest.Wait()
			if s, r := a.stats(2), b.stats(1); s.StreamSent != uint64(len(want)) || r.StreamReceived != uint64(len(want)) || r.Streams != 0 {
				t.Errorf("%d bytes sent, %d received, %d streams open", s.StreamSent, r.StreamReceived, r.Streams)
			}
		})
	}
}

// If this failed, a receiver could not say why it failed, and the sender would wait or take it
// for a success.
func TestStreamReceiverFails(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		var when string
		a, _ := streams(t, network, nil, func(_ context.Context, _ peer.ID, _ []byte, r io.Reader) error {
			switch when {
			case "at the end":
				_, err := io.Copy(io.Discard, r)
				return errors.Join(err, errors.New("wrong digest"))
			case "in the middle":
				_, _ = io.ReadFull(r, make([]byte, 100<<10))
				return errors.New("disk full")
			case "too early":
				return nil
			}
			return errors.New("not now")
		})
		for _, c := range []struct{ when, text string }{
			{"at the end", "wrong digest"}, {"in the middle", "disk full"}, {"at once", "not now"}, {"too early", "before the end"},
		} {
			when = c.when
			st := open(t, a, "")
			_, _ = io.Copy(st, bytes.NewReader(make([]byte, 1<<20)))
			refused(t, st.Close(), c.text)
		}
		when = "in the middle"
		st := open(t, a, "")
		_, err := io.Copy(st, bytes.NewReader(make([]byte, 100<<20)))
		refused(t, err, "disk full")
		_, err = st.Write([]byte("x"))
		refused(t, err, "disk full")
		refused(t, st.Close(), "disk full")
	})
}

// If this failed, a receiver would take half a snapshot for a whole one.
func TestStreamSenderFails(t *testing.T) {
	cause := errors.New("no longer the leader")
	for _, c := range []struct {
		name string
		end  func(st *peer.Stream, a *node, network *network, cancel context.CancelCauseFunc)
		want string // in the receiver's error
	}{
		{"abort", func(st *peer.Stream, _ *node, _ *network, _ context.CancelCauseFunc) { st.Abort(cause) }, cause.Error()},
		{"context", func(_ *peer.Stream, _ *node, _ *network, cancel context.CancelCauseFunc) { cancel(cause) }, "broken"},
		{"close", func(_ *peer.Stream, a *node, _ *network, _ context.CancelCauseFunc) { a.close() }, "broken"},
		{"remove", func(_ *peer.Stream, a *node, _ *network, _ context.CancelCauseFunc) { a.Remove(2) }, "broken"},
		{"cut", func(_ *peer.Stream, a *node, n *network, _ context.CancelCauseFunc) {
			n.isolate(a.addr, place(2), true)
		}, peer.ErrSilent.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, network *network) {
				var got error
				a, b := streams(t, network, nil, func(ctx context.Context, _ peer.ID, _ []byte, r io.Reader) error {
					_, got = io.Copy(io.Discard, r)
					if got == nil || ctx.Err() == nil {
						t.Errorf("the receiver read %v, its context has %v", got, ctx.Err())
					}
					return got
				})
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				st, err := a.Stream(ctx, 2, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = st.Write(make([]byte, 1<<20))
				if c.end(st, a, network, cancel); c.name == "remove" {
					synctest.Wait() // Remove waits for nothing
				}
				if err := st.Close(); err == nil {
					t.Error("the sender takes it for a success")
				}
				pass(5 * time.Second)
				if got == nil || !strings.Contains(got.Error(), c.want) {
					t.Errorf("the receiver read %v, want %q", got, c.want)
				}
				if n := b.stats(1).Streams; n != 0 {
					t.Errorf("%d streams are open", n)
				}
			})
		})
	}
}

// If this failed, a stream would end while its receiver works or its sender has nothing to send,
// or would wait for ever for one that is gone.
func TestStreamWaits(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		a, b := streams(t, network, nil, func(_ context.Context, _ peer.ID, _ []byte, r io.Reader) error {
			time.Sleep(20 * time.Second) // verifies, or waits for a disk
			_, err := io.Copy(io.Discard, r)
			time.Sleep(time.Minute)
			return err
		})
		st := open(t, a, "")
		if _, err := st.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := st.Close(); err != nil {
			t.Errorf("a slow stream ended with %v", err)
		}

		st = open(t, a, "")
		began := time.Now()
		network.isolate(a.addr, b.addr, true)
		if err := st.Close(); !errors.Is(err, peer.ErrSilent) || time.Since(began) > 4*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		pass(2 * time.Minute)
	})
}

// If this failed, a snapshot could take the network from everything else.
func TestStreamRate(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		a, _ := streams(t, network, func(o *peer.Options) { o.StreamRate = 1 << 20; o.Streams = 3 }, func(_ context.Context, _ peer.ID, _ []byte, r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		})
		began := time.Now()
		done := make(chan error, 2)
		for range 2 {
			st := open(t, a, "")
			go func() {
				_, err := st.Write(make([]byte, 5<<20))
				done <- errors.Join(err, st.Close())
			}()
		}
		if err := errors.Join(<-done, <-done); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d < 9*time.Second || d > 11*time.Second {
			t.Errorf("two streams of 5 MiB took %v at 1 MiB/s", d)
		}
	})
}

// If this failed, one node could make another hold any number of streams.
func TestStreamsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		leave := make(chan struct{})
		a, b := streams(t, network, nil, func(context.Context, peer.ID, []byte, io.Reader) error { <-leave; return errors.New("left") })
		var all []*peer.Stream
		for range 3 {
			all = append(all, open(t, a, ""))
			synctest.Wait()
		}
		first, second, third := all[0], all[1], all[2]
		refused(t, third.Close(), peer.ErrStreams.Error())
		if n := b.stats(1).Streams; n != 2 {
			t.Errorf("%d streams are open", n)
		}
		close(leave)
		refused(t, first.Close(), "left")
		refused(t, second.Close(), "left")
		synctest.Wait()
		refused(t, open(t, a, "").Close(), "left")

		st, err := b.Stream(t.Context(), 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		refused(t, st.Close(), peer.ErrStreams.Error()) // node 1 receives none
		if _, err := a.Stream(t.Context(), 2, make([]byte, 64<<10+1)); !errors.Is(err, peer.ErrFrameSize) {
			t.Errorf("a large head: %v", err)
		}
		if _, err := a.Stream(t.Context(), 3, nil); !errors.Is(err, peer.ErrUnknown) {
			t.Errorf("a stream to a stranger: %v", err)
		}
		_ = a.Add(3, "nowhere:1")
		if _, err := a.Stream(t.Context(), 3, nil); !errors.Is(err, peer.ErrUnreachable) {
			t.Errorf("a stream to a node that is down: %v", err)
		}
	})
}

// If this failed, a stream could hold up what is urgent.
func TestStreamBesideControl(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		hold := make(chan struct{})
		a, b := streams(t, network, nil, func(_ context.Context, _ peer.ID, _ []byte, r io.Reader) error {
			<-hold
			_, err := io.Copy(io.Discard, r)
			return err
		})
		st := open(t, a, "")
		done := make(chan error)
		go func() {
			_, err := st.Write(make([]byte, 10<<20))
			done <- errors.Join(err, st.Close())
		}()
		b.take()
		for range 10 {
			a.Send(2, peer.Control, []byte("beat"))
			pass(time.Second)
			expect(t, b, `1 control "beat"`)
		}
		close(hold)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
