package object

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"keywatch/kv"
)

// A Reader reads the values that lie in segments, of whichever store and epoch.
type Reader struct {
	Store Store
	// Timeout bounds one read, attempts and all; 0 is no bound.
	Timeout time.Duration
	// Check, if not nil, is asked about a store that lacks a segment: its error says
	// that the store is not the one in which the values are. See Home.
	Check func(context.Context) error
}

var _ kv.ColdReader = Reader{}

// ReadCold implements kv.ColdReader for kv.TierObject. What is lost or damaged is
// reported as kv.ErrDamaged with the name of the segment; a store that is slow or
// down as kv.ErrTierUnavailable.
func (r Reader) ReadCold(ctx context.Context, ref kv.ColdRef) (string, error) {
	p, ok := ref.ObjectPlace()
	if !ok {
		return "", fmt.Errorf("%w: key %.80q names no place in a segment", kv.ErrDamaged, ref.Key)
	}
	limited := ctx
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, r.Timeout)
		defer cancel()
	}
	id := segmentOf(p.Segment)
	value, err := ReadValue(limited, r.Store, id, int64(p.Offset), ref.Key, ref.At, ref.Size)
	if errors.Is(err, ErrNotFound) && r.Check != nil {
		if elsewhere := r.Check(limited); elsewhere != nil {
			err = elsewhere
		}
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrDamaged):
		return "", fmt.Errorf("%w: value of key %.80q: %w", kv.ErrDamaged, ref.Key, err)
	default:
		// Not wrapped: that this read took too long is not that its caller gave up.
		return "", fmt.Errorf("%w: %v", kv.ErrTierUnavailable, err)
	}
	if sum := sha256.Sum256([]byte(value)); [kv.HashSize]byte(sum[:kv.HashSize]) != ref.Hash {
		return "", fmt.Errorf("%w: value of key %.80q: segment %s holds another value", kv.ErrDamaged, ref.Key, id.Name())
	}
	return value, nil
}

// ReadSegment reads a whole segment out of s and checks every byte of it. It fails with an error that
// matches ErrDamaged if it is damaged or lost, and ErrNotFound if it is lost, with ErrUnavailable, or
// ctx's error.
func ReadSegment(ctx context.Context, s Store, id ID) (*Segment, error) {
	sizes, err := sizesOf(ctx, s, []ID{id})
	if err != nil {
		return nil, err
	}
	b, err := fetchSegment(ctx, s, id, sizes)
	if err != nil {
		return nil, err
	}
	return Decode(id, b)
}

// IDOf returns the ID of a segment that state refers to.
func IDOf(id kv.SegmentID) ID { return segmentOf(id) }
