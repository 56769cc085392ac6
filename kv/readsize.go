package kv

import (
	"fmt"
	"slices"
)

// ReadSize returns how many bytes of values the gets of c would return now, and how many of
// them are not in memory, or those of its else, whichever are more. Limits.Command bounds
// them; an answer to c needs memory for them, and those not in memory are fetched first.
func (s *Store) ReadSize(c *Command) (size, cold int64) {
	size, cold = s.getsSize(c.Ops)
	elseSize, elseCold := s.getsSize(c.Else)
	return max(size, elseSize), max(cold, elseCold)
}

// getsSize returns the size of what the gets among ops would return now, and of what is not
// in memory of it. They see what operations before them have put.
func (s *Store) getsSize(ops []Op) (size, cold int64) {
	if !slices.ContainsFunc(ops, func(op Op) bool { return op.Kind == OpGet }) {
		return 0, 0
	}
	written := make(map[string]int)
	for i := range ops {
		op := &ops[i]
		if op.Kind != OpGet {
			written[op.Key] = len(op.Value)
			continue
		}
		n, ok := written[op.Key]
		if e, _ := s.State().Get(op.Key); !ok && e != nil {
			if n = e.Size(); e.Cold() {
				cold += int64(n)
			}
		}
		size += int64(n)
	}
	return size, cold
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
