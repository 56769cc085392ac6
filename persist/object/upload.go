package object

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
)

// probeName is in the names of the objects that Probe writes.
const probeName = "/probe-"

func isDamaged(err error) bool { return errors.Is(err, ErrDamaged) }

// Upload puts the segment and reads it back: when it returns nil, exactly these
// bytes bear the name. A Put whose answer was lost is recognised by what is
// there. It fails with ErrTaken when another writer has used the name, with
// ErrDamaged when the store gives back something else than it was given (the
// name is then spent), else with ErrUnavailable or ctx's error, and may be
// called again with the same segment.
func Upload(ctx context.Context, s Store, id ID, b []byte) error {
	return confirm(ctx, s, id, b, s.Put(ctx, id.Name(), b))
}

// confirm is Upload after Put, which failed with put.
func confirm(ctx context.Context, s Store, id ID, b []byte, put error) error {
	if put != nil && !errors.Is(put, ErrExists) && !errors.Is(put, ErrUnavailable) {
		return fmt.Errorf("upload %s: %w", id.Name(), put)
	}
	have, err := s.GetRange(ctx, id.Name(), 0, int64(len(b)))
	switch {
	case err == nil && bytes.Equal(have, b):
		return nil
	case errors.Is(err, ErrNotFound) && errors.Is(put, ErrUnavailable):
		return fmt.Errorf("upload %s: %w", id.Name(), put)
	case errors.Is(put, ErrExists) && (err == nil || isDamaged(err)):
		return takenBy(ctx, s, id, b)
	case err != nil:
		return fmt.Errorf("confirm %s: %w", id.Name(), err)
	}
	return damaged(id, "the store gave back other bytes than it was given")
}

// takenBy says who has written what bears the name: another writer, or this one
// in an attempt that went wrong.
func takenBy(ctx context.Context, s Store, id ID, b []byte) error {
	head, err := s.GetRange(ctx, id.Name(), 0, headSize)
	if err != nil && !isDamaged(err) {
		return fmt.Errorf("confirm %s: %w", id.Name(), err)
	}
	w, why := parseHeader(id, head)
	if why == "" && w != Writer(b[32:48]) {
		return fmt.Errorf("upload %s: %w", id.Name(), ErrTaken)
	}
	return damaged(id, "the store gave back other bytes than it was given")
}

// NewWriter draws a writer at random.
func NewWriter() (w Writer) {
	_, _ = rand.Read(w[:]) // it never fails
	return w
}

// Probe finds out, with one small object under prefix, whether s can be
// trusted with segments: a second Put of a name must be refused, bytes must
// be read as they were, whole and in part, and a deleted object must be gone.
// It fails with ErrUnfit, ErrUnavailable or ctx's error.
func Probe(ctx context.Context, s Store, prefix string) error {
	name, first := strings.TrimSuffix(prefix, "/")+probeName+rand.Text(), []byte("keywatch asks: is a name written once?\r\n\x00\xff")
	// The name is random: if it exists, the answer to a first attempt was lost.
	if err := s.Put(ctx, name, first); err != nil && !errors.Is(err, ErrExists) {
		return fmt.Errorf("probe: %w", err)
	}
	err := probe(ctx, s, name, first)
	if derr := s.Delete(ctx, name); err == nil && derr != nil {
		return fmt.Errorf("probe: delete: %w", derr)
	}
	if err != nil {
		return err
	}
	if _, err := s.GetRange(ctx, name, 0, 1); !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: a deleted object is read (%v)", ErrUnfit, err)
	}
	return nil
}

func probe(ctx context.Context, s Store, name string, first []byte) error {
	err := s.Put(ctx, name, []byte("no"))
	if err == nil {
		return fmt.Errorf("%w: it overwrites an object that must only be written once (If-None-Match is ignored)", ErrUnfit)
	}
	if !errors.Is(err, ErrExists) {
		return fmt.Errorf("probe: put again: %w", err)
	}
	for _, part := range [][2]int64{{0, int64(len(first))}, {5, 7}} {
		have, err := s.GetRange(ctx, name, part[0], part[1])
		if err != nil && !isDamaged(err) {
			return fmt.Errorf("probe: read: %w", err)
		}
		if want := first[part[0] : part[0]+part[1]]; !bytes.Equal(have, want) {
			return fmt.Errorf("%w: it gives back other bytes than it was given", ErrUnfit)
		}
	}
	return nil
}
