package client

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"
)

// MirrorOptions say what a mirror holds. At least one key or prefix is needed.
type MirrorOptions struct {
	// Keys and Prefixes select. The prefix "" is everything.
	Keys, Prefixes []string
	// OnChange, if not nil, is told what each step changed, in order, after the
	// mirror shows it: a revision, or all that a resync or reset brought. It
	// runs in the mirror's goroutine, which continues when it returns; it may
	// read the mirror and must not close it. The slice is its own.
	OnChange func(changes []Change)
	// Disconnected is as in WatchOptions.
	Disconnected func(err error, back time.Duration)
}

// A Change is what happened to one key.
type Change struct {
	Key string
	// Old and New are the entries before and after, nil if there was none. They
	// are shared and must not be changed.
	Old, New *Entry
}

// A Mirror is a local map that follows the server: what Kubernetes calls an
// informer. It shows only states that the server had: revisions are applied
// whole, and while a resync or a new state comes in it shows the last one. When
// the connection is lost it keeps that, and catches up when it is back. It is
// safe for concurrent use. Close it.
type Mirror struct {
	opts   MirrorOptions
	cancel context.CancelCauseFunc
	// done is closed when the mirror no longer follows.
	done chan struct{}

	mu struct {
		sync.RWMutex
		entries map[string]*Entry
		sorted  []string // the keys in order, nil if not known
		pos     Position
		synced  chan struct{} // closed once there is a state to show
		ready   bool          // whether synced is closed
		err     error         // why the mirror ended
	}
}

// Mirror returns a mirror of what opts select, and fills it in the background.
func (c *Client) Mirror(opts MirrorOptions) *Mirror {
	ctx, cancel := context.WithCancelCause(context.Background())
	m := &Mirror{opts: opts, cancel: cancel, done: make(chan struct{})}
	m.mu.entries, m.mu.synced = map[string]*Entry{}, make(chan struct{})
	go m.follow(ctx, c)
	return m
}

// Close ends the mirror and waits until OnChange no longer runs. What it shows
// stays. It may be called twice.
func (m *Mirror) Close() {
	m.cancel(ErrClosed)
	<-m.done
}

// Done is closed when the mirror follows no longer: it was closed, or the
// server refuses the watch for good. Err says which.
func (m *Mirror) Done() <-chan struct{} { return m.done }

// Err returns why the mirror ended, nil while it follows: ErrClosed, ErrDenied
// or an *Error.
func (m *Mirror) Err() error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.mu.err
}

// Synced waits until the mirror shows a state of the server. It fails as Err
// does if the mirror ended before, or as ctx does.
func (m *Mirror) Synced(ctx context.Context) error {
	select {
	case <-m.mu.synced:
		return nil
	case <-m.done:
		select {
		case <-m.mu.synced:
			return nil
		default:
			return m.Err()
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Get returns the entry of key, and whether there is one. It shares the value,
// which must not be changed. Its TTL is what was left when the version came.
func (m *Mirror) Get(key string) (Entry, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if e := m.mu.entries[key]; e != nil {
		return *e, true
	}
	return Entry{}, false
}

// Len returns how many keys there are.
func (m *Mirror) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.mu.entries)
}

// Position returns the position that the mirror shows, "" before the first.
func (m *Mirror) Position() Position {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.mu.pos
}

// All ranges over the entries whose keys begin with prefix, in byte order, as
// they are in one revision. Values are shared and must not be changed.
func (m *Mirror) All(prefix string) iter.Seq2[string, Entry] {
	return func(yield func(string, Entry) bool) {
		for _, e := range m.snapshot(prefix) {
			if !yield(e.Key, *e) {
				return
			}
		}
	}
}

// snapshot returns the entries with prefix in order.
func (m *Mirror) snapshot(prefix string) []*Entry {
	m.mu.Lock() // may sort
	defer m.mu.Unlock()
	if m.mu.sorted == nil {
		m.mu.sorted = make([]string, 0, len(m.mu.entries))
		for key := range m.mu.entries {
			m.mu.sorted = append(m.mu.sorted, key)
		}
		slices.Sort(m.mu.sorted)
	}
	var list []*Entry
	from, _ := slices.BinarySearch(m.mu.sorted, prefix)
	for _, key := range m.mu.sorted[from:] {
		if !strings.HasPrefix(key, prefix) {
			break
		}
		list = append(list, m.mu.entries[key])
	}
	return list
}

// follow keeps the mirror until ctx ends or the watch does.
func (m *Mirror) follow(ctx context.Context, c *Client) {
	defer close(m.done)
	t := &intake{m: m}
	err := errors.New("client: the watch ended without a reason")
	for e, failure := range c.Watch(ctx, WatchOptions{
		Keys: m.opts.Keys, Prefixes: m.opts.Prefixes, Disconnected: m.opts.Disconnected,
	}) {
		if failure != nil {
			err = failure
			break
		}
		t.take(&e)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.err = err
}

// intake collects events until they are a state that the server had.
type intake struct {
	m *Mirror
	// next is the state that replaces everything, between reset and synced.
	next map[string]*Entry
	// puts and deletions wait for the end of their revision or resync.
	pending []Event
	between bool // resync and synced
}

func (t *intake) take(e *Event) {
	switch e.Type {
	case EventReset:
		t.next, t.pending, t.between = map[string]*Entry{}, nil, false
		return
	case EventResync:
		t.next, t.pending, t.between = nil, nil, true
		return
	case EventPut, EventDelete:
		t.change(e)
	case EventSynced:
		t.between = false
	}
	switch {
	case t.next != nil && e.Type == EventSynced:
		t.m.replace(t.next, e.Position)
		t.next = nil
	case t.next == nil && !t.between && e.Position != "":
		t.m.apply(t.pending, e.Position)
		t.pending = t.pending[:0]
	}
}

// change takes in one put or deletion.
func (t *intake) change(e *Event) {
	switch {
	case t.next == nil:
		t.pending = append(t.pending, *e)
	case e.Type == EventPut:
		entry := e.Entry
		t.next[e.Key] = &entry
	default:
		delete(t.next, e.Key)
	}
}

// apply makes changes visible at once.
func (m *Mirror) apply(events []Event, pos Position) {
	var changes []Change
	m.mu.Lock()
	for i := range events {
		changes = m.applyLocked(changes, &events[i])
	}
	m.showLocked(pos)
	m.mu.Unlock()
	m.tell(changes)
}

func (m *Mirror) applyLocked(changes []Change, e *Event) []Change {
	old := m.mu.entries[e.Key]
	if e.Type == EventDelete {
		if old == nil {
			return changes // of a key created and deleted since
		}
		delete(m.mu.entries, e.Key)
		m.mu.sorted = nil
		return append(changes, Change{Key: e.Key, Old: old})
	}
	if old == nil {
		m.mu.sorted = nil
	}
	entry := e.Entry
	m.mu.entries[e.Key] = &entry
	return append(changes, Change{Key: e.Key, Old: old, New: &entry})
}

// replace makes next the state.
func (m *Mirror) replace(next map[string]*Entry, pos Position) {
	m.mu.Lock()
	before := m.mu.entries
	m.mu.entries, m.mu.sorted = next, nil
	m.showLocked(pos)
	m.mu.Unlock()
	if m.opts.OnChange != nil {
		m.tell(difference(before, next))
	}
}

// showLocked notes that the mirror shows the state at pos.
func (m *Mirror) showLocked(pos Position) {
	m.mu.pos = pos
	if !m.mu.ready {
		m.mu.ready = true
		close(m.mu.synced)
	}
}

func (m *Mirror) tell(changes []Change) {
	if m.opts.OnChange != nil && len(changes) > 0 {
		m.opts.OnChange(changes)
	}
}

// difference returns the changes that lead from one state to another, by key.
func difference(before, after map[string]*Entry) []Change {
	var changes []Change
	for key, old := range before {
		if after[key] == nil {
			changes = append(changes, Change{Key: key, Old: old})
		}
	}
	for key, entry := range after {
		if old := before[key]; old == nil || !same(old, entry) {
			changes = append(changes, Change{Key: key, Old: old, New: entry})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Key, b.Key) })
	return changes
}

// same reports whether a and b are one version. A revision alone is not enough:
// a server that keeps nothing on disk counts again.
func same(a, b *Entry) bool {
	return a.Rev == b.Rev && a.Version == b.Version && a.CreateRev == b.CreateRev && bytes.Equal(a.Value, b.Value)
}
