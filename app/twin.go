package app

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// twinTime is how long the others may take to notice that an earlier process of this server has ended.
const twinTime = 5 * time.Second

// alone refuses to start beside another process with the id of this server, of which its members may
// know: its folder was copied.
func (m *membership) alone(ctx context.Context) error {
	deadline := time.Now().Add(twinTime)
	for {
		twin, err := m.inquire(ctx)
		if err != nil || twin == "" {
			return err
		}
		me := m.me()
		if time.Now().After(deadline) {
			return fmt.Errorf("another process runs as server %s (%v) and is connected from %s: %s is a copy of its data folder, or it was not stopped; two of them could both vote. Stop that one, or start this one with an empty data folder and --join",
				me.Name, me.ID, twin, m.config.Data)
		}
		select {
		case <-time.After(joinEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// inquire asks all members about this server: whether it was removed, and whether another process has its id.
func (m *membership) inquire(ctx context.Context) (twin string, err error) {
	me, r := m.me(), m.roster()
	answers := make(chan answer, len(r.Members))
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	asked := 0
	for _, x := range r.Members {
		if x.ID == me.ID {
			continue
		}
		asked++
		go func() {
			a, _ := m.ask(ctx, x.Peer, question{Op: opLook}) // who does not answer says nothing
			answers <- a
		}()
	}
	for range asked {
		a := <-answers
		if a.Removed && a.Cluster == me.Cluster.String() {
			return "", errors.Join(m.become(func(n *nodeFile) { n.State = removedNode }), removedError(m.config.Data, me))
		}
		if a.Twin != "" {
			twin = a.Twin
		}
	}
	return twin, nil
}
