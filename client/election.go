package client

import (
	"context"
	"iter"
	"time"
)

// An Election is a lock whose holder, the leader, shows a value: who it is, or
// where it can be found.
type Election struct {
	c    *Client
	name string
	ttl  time.Duration
}

// Election returns the election of that name, one of locks. Leaders are lost
// after ttl without a sign of life; 0 is 10 s.
func (c *Client) Election(name string, ttl time.Duration) *Election {
	return &Election{c: c, name: name, ttl: ttl}
}

// Campaign waits until it leads, showing value, and stays leader until Resign,
// or until the lock is lost. Fences are as in LockOptions. It fails as Lock does.
func (e *Election) Campaign(ctx context.Context, value string, fences ...WriteOption) (*Leadership, error) {
	held, err := e.c.Lock(ctx, e.name, LockOptions{TTL: e.ttl, Owner: value, Fences: fences})
	if err != nil {
		return nil, err
	}
	return &Leadership{held}, nil
}

// A Leader is who leads.
type Leader struct {
	// Value is what the leader shows, Token its fencing token.
	Value string
	Token Token
}

// Leader returns who leads. It fails with an error that matches ErrNotFound if
// there is no leader.
func (e *Election) Leader(ctx context.Context) (Leader, error) {
	entry, err := e.c.Get(ctx, e.key())
	return leaderOf(&entry), err
}

// key is the key of the holder.
func (e *Election) key() string { return "locks/" + e.name }

func leaderOf(holder *Entry) Leader {
	return Leader{Value: string(holder.Value), Token: Token(holder.CreateRev)}
}

// Observe tells who leads, at first and whenever that changes; the zero Leader
// stands for none. When the connection was lost it tells the newest only. Leaving the
// loop ends it. The last element is an error, as that of Watch.
func (e *Election) Observe(ctx context.Context) iter.Seq2[Leader, error] {
	return func(yield func(Leader, error) bool) {
		var now, told Leader
		first, filling := true, false
		for event, err := range e.c.Watch(ctx, WatchOptions{Keys: []string{e.key()}, Mode: ModeLatest}) {
			switch {
			case err != nil:
				yield(Leader{}, err)
				return
			case event.Type == EventReset:
				now, filling = Leader{}, true
			case event.Type == EventResync:
				filling = true
			case event.Type == EventPut:
				now = leaderOf(&event.Entry)
			case event.Type == EventDelete:
				now = Leader{}
			case event.Type == EventSynced:
				filling = false
			}
			if filling || !first && now == told {
				continue
			}
			if first, told = false, now; !yield(now, nil) {
				return
			}
		}
	}
}

// A Leadership is a Held of an election: Done is closed the moment it can no
// longer be trusted, and writes made through it are refused once another leads.
type Leadership struct{ *Held }

// Resign lets another lead. It fails as Unlock does.
func (l *Leadership) Resign(ctx context.Context) error { return l.Unlock(ctx) }
