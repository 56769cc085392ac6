package kv

import (
	"context"
	"errors"
)

// A Gate holds commands back while there is no room in memory for what they add. It is
// safe for concurrent use.
type Gate interface {
	// Admit waits for room for bytes bytes and reserves it. It fails with an error that
	// matches ErrMemoryFull if that takes too long, or with ctx's error.
	Admit(ctx context.Context, bytes int64) error
	// TryAdmit is Admit that does not wait: it reports whether there is room now that no
	// other command waits for.
	TryAdmit(bytes int64) bool
	// Placed ends the reservation of bytes bytes: the log has taken the command, and
	// counts it until it is applied, or has refused it.
	Placed(bytes int64)
}

// Guard has g asked before every command that adds to the state. It is called before
// the store is used.
func (s *Store) Guard(g Gate) { s.gate = g }

// place gives c its place in the log once there is room for it. It fails as Do does.
func (s *Store) place(ctx context.Context, c *Command) (Pending, error) {
	if c.reads() {
		if size, _ := s.ReadSize(c); size > int64(s.limits.Command) {
			return nil, s.tooMuchRead()
		}
	}
	bytes, err := s.admit(ctx, c)
	if err != nil {
		return nil, err
	}
	defer s.placed(bytes)
	if s.beginner != nil {
		return s.beginner.Begin(c)
	}
	r, err := s.log.Propose(ctx, c)
	return settled{r, err}, nil
}

// reads reports whether c has a get.
func (c *Command) reads() bool {
	for ops := range c.branches() {
		for i := range ops {
			if ops[i].Kind == OpGet {
				return true
			}
		}
	}
	return false
}

// admit asks the gate, and returns for how many bytes.
func (s *Store) admit(ctx context.Context, c *Command) (bytes int64, err error) {
	if s.gate != nil {
		bytes = c.growth()
	}
	if bytes == 0 {
		return 0, nil
	}
	err = s.gate.Admit(ctx, bytes)
	if errors.Is(err, context.DeadlineExceeded) {
		err = ErrMemoryFull // not applied, whatever deadline it was
	}
	return bytes, err
}

func (s *Store) placed(bytes int64) {
	if bytes > 0 {
		s.gate.Placed(bytes)
	}
}

// growth returns about how many bytes of memory c adds to the state, at most. It is 0
// for what only reads, deletes or renews: that is never held back.
func (c *Command) growth() int64 {
	n := max(growthOf(c.Ops), growthOf(c.Else)) + c.Lease.growth() + c.Lock.growth()
	for i := range c.Parts {
		n += max(growthOf(c.Parts[i].Ops), growthOf(c.Parts[i].Else))
	}
	if n > 0 && c.Idem.Key != "" {
		n += idemCost + int64(len(c.Idem.Key))
	}
	return n
}

func growthOf(ops []Op) (n int64) {
	for i := range ops {
		switch op := &ops[i]; op.Kind {
		case OpPut:
			n += slotCost(op.Key) + valueCost(len(op.Value))
		case OpAdd, OpAddFloat:
			n += slotCost(op.Key) + valueCost(SmallValue)
		}
	}
	return n
}

func (c *LeaseCommand) growth() int64 {
	if c == nil || c.Kind != LeaseGrant {
		return 0
	}
	return int64(leaseCost + len(c.Caller))
}

func (c *LockCommand) growth() int64 {
	if c == nil || c.Kind != LockAcquire {
		return 0
	}
	key := slotCost(c.Name) + int64(len(ReservedPrefix)+len(queueInfix)+queueDigits)
	lease := leaseCost + leaseKeysCost + leaseKeyCost + len(c.Caller) + len(c.Name) + len(c.Owner)
	return key + valueCost(len(c.Owner)) + int64(lease+placeCost)
}
