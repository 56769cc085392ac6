package object

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// A claim is a small object that says which process moves and deletes for a store.
// The last one counts: a process that makes one removes those before it, and one that finds
// its own gone stops. So two processes that run on copies of one data folder never
// delete each other's segments; the folder's lock keeps two from running on one.
// Claims are numbered as segments are, above those that there are, and a number is given
// once, even if claims were removed by hand.

// claimTries is how often a claim is tried while others claim too.
const claimTries = 8

func claimPrefix(store StoreID) string { return store.String() + "/writer-" }

func claimName(store StoreID, n uint64) string { return fmt.Sprintf("%s%016x", claimPrefix(store), n) }

// own returns nil if this process is the one that writes for the store, which it
// becomes at the first call. It fails with ErrTaken, for good, if another process
// has become it since.
func (m *Mover) own(ctx context.Context) error {
	if m.taken != nil {
		return m.taken
	}
	if m.claimed == 0 {
		return m.claim(ctx)
	}
	_, err := m.opts.Store.GetRange(ctx, claimName(m.opts.ID, m.claimed), 0, 1)
	if err == nil || isDamaged(err) {
		return nil // it is there
	}
	if !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("look who writes: %w", err)
	}
	if err := m.home.Check(ctx); err != nil {
		return err // the store is not the one that was claimed
	}
	numbers, err := m.claims(ctx)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if n > m.claimed {
			m.taken = fmt.Errorf("store %s: %w", m.opts.ID, ErrTaken)
			return m.taken
		}
	}
	return m.claim(ctx) // it was removed by hand
}

// claim makes this process the one that writes, in a store that is the right one.
func (m *Mover) claim(ctx context.Context) error {
	if err := m.home.Adopt(ctx); err != nil {
		return err
	}
	if m.opts.Adopted != nil {
		if err := m.opts.Adopted(); err != nil {
			return err
		}
	}
	for range claimTries {
		older, err := m.claims(ctx)
		if err != nil {
			return err
		}
		n := max(m.claimed+1, drawNumber(m.opts.State().Applied()))
		for _, o := range older {
			n = max(n, o+1)
		}
		err = m.opts.Store.Put(ctx, claimName(m.opts.ID, n), m.writer[:])
		if errors.Is(err, ErrExists) {
			continue // another one claims now, or an answer was lost
		}
		if err != nil {
			return fmt.Errorf("claim store %s: %w", m.opts.ID, err)
		}
		for _, o := range older {
			if err := m.opts.Store.Delete(ctx, claimName(m.opts.ID, o)); err != nil {
				return fmt.Errorf("claim store %s: %w", m.opts.ID, err)
			}
		}
		m.claimed = n
		return nil
	}
	return fmt.Errorf("claim store %s: %w: others claim it all the time", m.opts.ID, ErrUnavailable)
}

// claims returns the numbers of the claims that there are.
func (m *Mover) claims(ctx context.Context) (numbers []uint64, err error) {
	prefix := claimPrefix(m.opts.ID)
	for info, err := range m.opts.Store.List(ctx, prefix) {
		if err != nil {
			return nil, fmt.Errorf("list claims: %w", err)
		}
		if n, ok := parseHex(strings.TrimPrefix(info.Name, prefix), 8); ok {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}
