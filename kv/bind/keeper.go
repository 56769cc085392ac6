package bind

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"keywatch/kv"
	"keywatch/kv/heap"
	"keywatch/kv/wake"
)

const (
	// MinTTL is the shortest TTL of a lease that can be bound.
	MinTTL = time.Second
	// renewals is how often a lease is renewed in the time that it would live.
	renewals = 3
	// grain is what times of renewal are rounded down to, so that many come
	// together.
	grain = 100 * time.Millisecond
	// most is how many renewals are under way at once.
	most = 1024
	// patience bounds each renewal on its way through the log.
	patience = 10 * time.Second
	// retry is how long after a renewal that failed the next is tried, at most.
	retry = time.Second
)

// An Owner is what a lease lives with: a value that can be compared.
type Owner any

// A Keeper renews the leases that are bound to owners. It is safe for concurrent
// use.
type Keeper struct {
	store *kv.Store
	born  time.Time
	// wake says that something may be due earlier than it was.
	wake wake.Chan
	// closing is closed when Close begins, done when the last renewal is over.
	closing, done chan struct{}
	closeOnce     sync.Once
	// ctx ends when Close does not wait any longer.
	ctx    context.Context
	cancel context.CancelFunc

	renewed atomic.Uint64
	mu      struct {
		sync.Mutex
		leases map[kv.LeaseID]*bound
		owners map[Owner]map[*bound]struct{}
		// queue has what is due first at its head.
		queue heap.Heap[*bound]
	}
}

// A bound is a lease with owners. It is guarded by the keeper's lock.
type bound struct {
	id  kv.LeaseID
	ttl time.Duration
	// owners has hardly ever more than one; with none it is renewed a last time.
	owners []Owner
	// due is when it is renewed next, at its place in the queue, which is below 0
	// while a renewal is under way.
	due time.Duration
	at  int
	// again says that the renewal under way began too early to be the last.
	again bool
}

// New returns a keeper of leases in store, which must be ended with Close before
// the store is.
func New(store *kv.Store) *Keeper {
	k := &Keeper{
		store: store, born: time.Now(), wake: wake.New(),
		closing: make(chan struct{}), done: make(chan struct{}),
	}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.mu.leases = make(map[kv.LeaseID]*bound)
	k.mu.owners = make(map[Owner]map[*bound]struct{})
	k.mu.queue = heap.New(func(a, b *bound) bool { return a.due < b.due }, func(b *bound, at int) { b.at = at })
	go k.run()
	return k
}

// Bind has a lease, which was granted or renewed just now, live as long as its
// owner is there, and for ttl after. A lease may have several owners. To bind
// to an owner that may be gone meanwhile, call Release once more.
func (k *Keeper) Bind(owner Owner, id kv.LeaseID, ttl time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := k.mu.leases[id]
	if b == nil {
		b = &bound{id: id, ttl: ttl}
		k.mu.leases[id] = b
		b.due = k.next(b)
		k.mu.queue.Push(b)
		k.wake.Wake()
	}
	its := k.mu.owners[owner]
	if its == nil {
		its = make(map[*bound]struct{}, 1)
		k.mu.owners[owner] = its
	}
	if _, already := its[b]; !already {
		its[b] = struct{}{}
		b.owners = append(b.owners, owner)
	}
}

// Unbind leaves a lease to its TTL, or to its other owners. It does nothing if
// owner has no such lease.
func (k *Keeper) Unbind(owner Owner, id kv.LeaseID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if b := k.mu.leases[id]; b != nil {
		k.partLocked(owner, b)
	}
}

// Release unbinds all leases of an owner that has gone. It does not wait.
func (k *Keeper) Release(owner Owner) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for b := range k.mu.owners[owner] {
		k.partLocked(owner, b)
	}
}

// partLocked takes b from owner, and has it renewed a last time if it was the
// last one.
func (k *Keeper) partLocked(owner Owner, b *bound) {
	its := k.mu.owners[owner]
	if _, bound := its[b]; !bound {
		return
	}
	if delete(its, b); len(its) == 0 {
		delete(k.mu.owners, owner)
	}
	at := slices.Index(b.owners, owner)
	if b.owners = slices.Delete(b.owners, at, at+1); len(b.owners) > 0 {
		return
	}
	if b.at < 0 {
		b.again = true
		return
	}
	b.due = k.now()
	k.mu.queue.Fix(b.at)
	k.wake.Wake()
}

// Close makes the last renewals of what was released, and waits for them until
// ctx ends. It may be called twice.
func (k *Keeper) Close(ctx context.Context) {
	k.closeOnce.Do(func() { close(k.closing) })
	select {
	case <-k.done:
	case <-ctx.Done():
		k.cancel()
		<-k.done
	}
	k.cancel()
}

// Stats returns how many leases are bound, and how many renewals were made.
func (k *Keeper) Stats() (leases int, renewed uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.mu.leases), k.renewed.Load()
}

// now is a time that no change of the time of day moves.
func (k *Keeper) now() time.Duration { return time.Since(k.born) }

// next returns when b is to be renewed after now.
func (k *Keeper) next(b *bound) time.Duration { return (k.now() + b.ttl/renewals).Truncate(grain) }
