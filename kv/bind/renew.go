package bind

import (
	"context"
	"time"

	"keywatch/kv"
)

// run renews what is due until the keeper is closed.
func (k *Keeper) run() {
	defer close(k.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		due, wait := k.take()
		if len(due) > 0 {
			k.renew(due)
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-k.wake:
		case <-k.closing:
			k.last()
			return
		}
	}
}

// last renews what has no owner any more, once.
func (k *Keeper) last() {
	for k.ctx.Err() == nil {
		due, _ := k.take()
		if len(due) == 0 {
			return
		}
		k.renew(due)
	}
}

// take removes what is due from the queue, most at once; if nothing is, it
// returns for how long.
func (k *Keeper) take() (due []*bound, wait time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	for k.mu.queue.Len() > 0 && len(due) < most {
		b := k.mu.queue.Min()
		if b.due > now {
			return due, b.due - now
		}
		k.mu.queue.Pop()
		due = append(due, b)
	}
	return due, time.Hour
}

// renew begins a renewal of each, so that they share log entries, and waits for
// all.
func (k *Keeper) renew(due []*bound) {
	ctx, cancel := context.WithTimeout(k.ctx, patience)
	defer cancel()
	commands := make([]kv.Command, len(due))
	pending := make([]kv.Pending, len(due))
	errs := make([]error, len(due))
	for i, b := range due {
		commands[i].Lease = &kv.LeaseCommand{Kind: kv.LeaseKeep, ID: b.id}
		pending[i], errs[i] = k.store.Begin(ctx, &commands[i])
	}
	for i, b := range due {
		var r kv.Result
		if errs[i] == nil {
			r, errs[i] = await(ctx, pending[i])
		}
		k.settle(b, r.Outcome, errs[i])
	}
}

func await(ctx context.Context, p kv.Pending) (kv.Result, error) {
	select {
	case <-p.Done():
		return p.Result()
	case <-ctx.Done():
		return kv.Result{}, kv.ErrOutcomeUnknown
	}
}

// settle notes how the renewal of b went, and when the next one is.
func (k *Keeper) settle(b *bound, outcome kv.Outcome, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	again := b.again
	b.again = false
	switch {
	case err == nil && outcome != kv.Committed, k.closed() && !again:
		k.forgetLocked(b)
		return
	case err != nil:
		b.due = k.now() + min(retry, b.ttl/renewals/2)
	default:
		k.renewed.Add(1)
		if b.due = k.next(b); len(b.owners) == 0 {
			if !again {
				k.forgetLocked(b)
				return
			}
			b.due = k.now()
		}
	}
	k.mu.queue.Push(b)
}

// closed reports whether Close was called: then nothing is tried twice.
func (k *Keeper) closed() bool {
	select {
	case <-k.closing:
		return true
	default:
		return false
	}
}

// forgetLocked lets go of a lease that has ended, or that has no owner.
func (k *Keeper) forgetLocked(b *bound) {
	delete(k.mu.leases, b.id)
	for _, owner := range b.owners {
		its := k.mu.owners[owner]
		if delete(its, b); len(its) == 0 {
			delete(k.mu.owners, owner)
		}
	}
}
