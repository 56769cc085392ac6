package cluster_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// probeEvery is the time between two writes of a probe.
	probeEvery = 25 * time.Millisecond
	// probePatience is how long it waits for an answer.
	probePatience = 400 * time.Millisecond
	// gapMin is the least time between two writes that counts as one without a leader: on a
	// machine that is busy one may take as long.
	gapMin = 150 * time.Millisecond
)

// A pulse says when writes were acknowledged, by any node.
type pulse struct {
	mu struct {
		sync.Mutex
		beats []time.Time
	}
}

// follow writes to every node, time and again, until ctx ends.
func (p *pulse) follow(ctx context.Context, c *cluster, key string) {
	var running sync.WaitGroup
	for _, n := range c.nodes {
		running.Go(func() {
			for ctx.Err() == nil {
				if probe(ctx, n, key) {
					p.beat(time.Now())
				}
				rest(ctx, probeEvery)
			}
		})
	}
	running.Wait()
}

// probe writes once and reports whether that was acknowledged soon.
func probe(ctx context.Context, n *node, key string) bool {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "PUT", fmt.Sprintf("%s/v1/kv/%s%s", n.url, key, n.name), strings.NewReader("x"))
	if err != nil {
		return false
	}
	resp, err := looker.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode/100 == 2
}

func (p *pulse) beat(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.beats = append(p.mu.beats, now)
}

// leaderless returns how long between two times nothing was acknowledged, so that the store
// can have been without a leader.
func (p *pulse) leaderless(from, to time.Time) time.Duration {
	sum, _ := p.gaps(from, to)
	return sum
}

// surelyLeaderless returns how long of that the store was without a leader at least: so much as
// counts as no gap may have passed before and after each.
func (p *pulse) surelyLeaderless(from, to time.Time) time.Duration {
	sum, n := p.gaps(from, to)
	return sum - time.Duration(n)*gapMin
}

// gaps returns how many gaps there were between two times, and how long they were together.
func (p *pulse) gaps(from, to time.Time) (sum time.Duration, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := from
	add := func(now time.Time) {
		if gap := now.Sub(last); gap >= gapMin {
			sum += gap
			n++
		}
		last = now
	}
	for _, b := range p.mu.beats {
		if b.After(from) && b.Before(to) {
			add(b)
		}
	}
	add(to)
	return sum, n
}

// longest returns the longest time without an acknowledgement.
func (p *pulse) longest() (most time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 1; i < len(p.mu.beats); i++ {
		most = max(most, p.mu.beats[i].Sub(p.mu.beats[i-1]))
	}
	return most
}
