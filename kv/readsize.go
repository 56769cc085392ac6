package kv

import (
	"fmt"
	"slices"
)

// ReadSize returns how many bytes of values the gets of c would return now, or those of
// its else, whichever are more. Limits.Command bounds them; an answer to c needs
// memory for them.
func (s *Store) ReadSize(c *Command) int64 {
	return max(s.getsSize(c.Ops), s.getsSize(c.Else))
}

// getsSize returns the size of what the gets among ops would return now. They see what
// operations before them have put.
func (s *Store) getsSize(ops []Op) (sum int64) {
	if !slices.ContainsFunc(ops, func(op Op) bool { return op.Kind == OpGet }) {
		return 0
	}
	written := make(map[string]int)
	for i := range ops {
		op := &ops[i]
		if op.Kind != OpGet {
			written[op.Key] = len(op.Value)
			continue
		}
		n, ok := written[op.Key]
		if e, _ := s.state.Get(op.Key); !ok && e != nil {
			n = e.Size()
		}
		sum += int64(n)
	}
	return sum
}

func (s *Store) tooMuchRead() error {
	return fmt.Errorf("%w: its gets return more than %d bytes of values", ErrBatchTooLarge, s.limits.Command)
}

// boundReads leaves out the values of gets that c's answer has no room for: they were
// larger when c was applied than when it was let in.
func (r *Result) boundReads(ops []Op, most int64) {
	for i := range r.Ops {
		did := &r.Ops[i]
		if i >= len(ops) || ops[i].Kind != OpGet || did.Entry == nil || did.NoValue {
			continue
		}
		if most -= int64(did.Entry.Size()); most < 0 {
			did.NoValue = true
		}
	}
}
