package cluster_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"keywatch/test/load"
)

// unknownShare is the most that may end with an unknown outcome, one answer in so many: one that ends so leaves a
// caller in doubt, who has to ask what became of it.
const unknownShare = 1000

// A told is what clients that wait for every answer were told.
type told struct{ answers, unknown atomic.Int64 }

// add counts an answer.
func (p *told) add(status int) {
	p.answers.Add(1)
	if status == 504 {
		p.unknown.Add(1)
	}
}

// judge returns an error if too many answers say that the outcome is not known. One may in any case.
func (p *told) judge() error {
	if all, unknown := p.answers.Load(), p.unknown.Load(); unknown > max(1, all/unknownShare) {
		return fmt.Errorf("%d of %d answers are 504, want at most one in %d", unknown, all, unknownShare)
	}
	return nil
}

// check fails t where too many answers say that the outcome is not known.
func (p *told) check(t testing.TB) {
	t.Helper()
	if err := p.judge(); err != nil {
		t.Error(err)
	}
	t.Logf("%d of %d answers to clients that wait are 504", p.unknown.Load(), p.answers.Load())
}

// wait writes, at any node, and waits for each answer however long that takes, until ctx ends; requests end with hard.
func (h *history) wait(ctx, hard context.Context, t testing.TB) {
	cl := load.Of(t, h.to, 0)
	for n := 0; ctx.Err() == nil; n++ {
		a, err := cl.Do(hard, load.PutCall(fmt.Sprintf("%spatient/%d", h.prefix, n%16), "x"))
		if err != nil {
			load.Pause(ctx) // the node has ended: that is no answer
			continue
		}
		h.c.told.add(a.Status)
		rest(ctx, 5*time.Millisecond)
	}
}

// If the judge of unknown outcomes saw nothing, servers could leave every caller in doubt.
func TestUnknownShareJudge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		known, unknown int
		wrong          bool
	}{{0, 0, false}, {5000, 0, false}, {10, 1, false}, {10, 2, true}, {1998, 2, false}, {1997, 2, true}, {9990, 10, false}} {
		p := new(told)
		for range c.known {
			p.add(200)
		}
		for range c.unknown {
			p.add(504)
		}
		if err := p.judge(); (err != nil) != c.wrong {
			t.Errorf("%d of %d are unknown: %v, want an error: %v", c.unknown, c.known+c.unknown, err, c.wrong)
		}
	}
}
