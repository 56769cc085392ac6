package peer_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"keywatch/cluster/peer"
)

// echo answers a question with who asked it and what it was.
func echo(_ context.Context, from peer.Hello, question []byte) ([]byte, error) {
	if string(question) == "no" {
		return nil, errors.New("no to " + from.ID.String())
	}
	return append([]byte(from.ID.String()+" of "+from.Cluster+" asks "), question...), nil
}

// If this failed, a server that knows nothing but an address could not join a cluster, and one of another
// cluster would not be told so.
func TestAskAnUnknownNode(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		token := peer.NewToken()
		secure := func(o *peer.Options) { o.Insecure, o.Tokens, o.Answer = false, []peer.Token{token}, echo }
		a := join(t, network, 1, secure)
		b := join(t, network, 2, func(o *peer.Options) { secure(o); o.Cluster = "" })
		for _, c := range []struct{ question, cluster, want string }{{"join", "", "0000000000000002 of  asks join"}, {"again", "d", "0000000000000002 of d asks again"}} {
			b.SetCluster(c.cluster)
			h, answer, err := b.Ask(t.Context(), a.addr, []byte(c.question))
			if err != nil || string(answer) != c.want || h.ID != 1 || h.Cluster != "c" {
				t.Errorf("got %+v, %q, %v, want %q", h, answer, err, c.want)
			}
		}
		if _, _, err := b.Ask(t.Context(), a.addr, []byte("no")); err == nil || !strings.Contains(err.Error(), "no to 0000000000000002") {
			t.Errorf("a refusal: got %v", err)
		}
		if _, _, err := b.Ask(t.Context(), b.addr, nil); !errors.Is(err, peer.ErrSelf) {
			t.Errorf("its own address: got %v", err)
		}
		if _, _, err := b.Ask(t.Context(), "n9:7071", nil); err == nil {
			t.Error("nobody answers, and there is no error")
		}
		stranger := join(t, network, 3, func(o *peer.Options) { secure(o); o.Tokens = []peer.Token{peer.NewToken()} })
		if _, _, err := stranger.Ask(t.Context(), a.addr, []byte("join")); err == nil || !strings.Contains(err.Error(), "token") {
			t.Errorf("with another token: got %v", err)
		}
	})
}

// If this failed, a node could be kept busy by questions, or hold up who asks it.
func TestQuestionsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T, network *network) {
		hold := make(chan struct{})
		a := join(t, network, 1, func(o *peer.Options) {
			o.Answer = func(ctx context.Context, _ peer.Hello, q []byte) ([]byte, error) {
				select {
				case <-hold:
				case <-ctx.Done():
				}
				return q, ctx.Err()
			}
		})
		b := join(t, network, 2, nil)
		results := make(chan error)
		for range 17 {
			go func() {
				_, _, err := b.Ask(t.Context(), a.addr, []byte("q"))
				results <- err
			}()
		}
		if err := <-results; err == nil || !strings.Contains(err.Error(), peer.ErrAsked.Error()) {
			t.Errorf("the 17th: got %v, want %v", err, peer.ErrAsked)
		}
		close(hold)
		for range 16 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := b.Ask(ctx, b.addr, make([]byte, 65<<10)); !errors.Is(err, peer.ErrHello) {
			t.Errorf("a large question: got %v", err)
		}
		if _, _, err := a.Ask(t.Context(), b.addr, []byte("q")); err == nil {
			t.Error("a node that answers none has answered")
		}
	})
}
