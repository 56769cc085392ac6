package kv

import "fmt"

// ReadSize returns how many bytes of values the gets of c would return now, and how many of
// them are not in memory, or those of its else, whichever are more. Limits.Command bounds
// them; an answer to c needs memory for them, and those not in memory are fetched first.
func (s *Store) ReadSize(c *Command) (size, cold int64) {
	written := make(map[string]int)
	size, cold = s.branchSize(c.Ops, c.Else, written)
	for i := range c.Parts {
		partSize, partCold := s.branchSize(c.Parts[i].Ops, c.Parts[i].Else, written)
		size, cold = size+partSize, cold+partCold
	}
	return size, cold
}

// branchSize returns the larger of what two lists of operations read.
func (s *Store) branchSize(ops, otherwise []Op, written map[string]int) (size, cold int64) {
	size, cold = s.getsSize(ops, written)
	elseSize, elseCold := s.getsSize(otherwise, written)
	return max(size, elseSize), max(cold, elseCold)
}

// getsSize returns the size of what the gets among ops would return now, and of what is not
// in memory of it. They see what operations before them have put,
// as written says and then learns.
func (s *Store) getsSize(ops []Op, written map[string]int) (size, cold int64) {
	for i := range ops {
		op := &ops[i]
		switch op.Kind {
		case OpPut, OpDelete:
			written[op.Key] = len(op.Value)
			continue
		case OpGet:
		default: // sums are small, and a touch changes no value
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

// boundReads leaves out the values of gets that an answer has no room for: they were
// larger when the command was applied than when it was let in. It returns how much of
// most is left.
func boundReads(all []OpResult, ops []Op, most int64) int64 {
	for i := range all {
		did := &all[i]
		if i >= len(ops) || ops[i].Kind != OpGet || did.Entry == nil || did.NoValue {
			continue
		}
		if most -= int64(did.Entry.Size()); most < 0 {
			did.NoValue = true
		}
	}
	return most
}
