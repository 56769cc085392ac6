package load

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// ModelKeys is the most keys that a modelled history has.
const ModelKeys = 5

// checkTime is the longest that one history may take to be checked.
const checkTime = time.Minute

// A cell is what one key holds. The zero cell is absent.
type cell struct {
	present bool
	value   string
	version int
}

// hidden stands for the value in a replayed answer that does not have it any
// more: answers are kept without values.
const hidden = "\x00"

// told reports whether a client that was told c may have met the cell was.
func (c cell) told(was cell) bool {
	if c.value == hidden {
		c.value = was.value
	}
	return c == was
}

// A guard is a condition on one key: that it is absent, or that it holds value.
// Every write of a history has a value of its own, so that "has this revision"
// and "holds this value" are the same condition.
type guard struct {
	key    int
	absent bool
	value  string
}

func (g guard) holds(c cell) bool {
	if g.absent {
		return !c.present
	}
	return c.present && c.value == g.value
}

// A step is one operation of a request: get, put or delete.
type step struct {
	do    string
	key   int
	value string
}

// A request runs all its steps if all guards hold, and nothing otherwise.
type request struct {
	guards []guard
	steps  []step
}

// A reply is what a client was told. For each step it has the cell found by a
// get, written by a put, or removed by a delete, of which only present counts.
// current, if the server said it, is the cell that the first failed guard met.
type reply struct {
	unknown bool // no answer, or one that says that the outcome is unknown
	held    bool
	steps   []cell
	current *cell
}

type store [ModelKeys]cell

// apply runs r on s and reports whether rep is what the client should see.
func (s store) apply(r request, rep reply) (bool, store) {
	for _, g := range r.guards {
		if !g.holds(s[g.key]) {
			right := rep.unknown || !rep.held && (rep.current == nil || *rep.current == s[g.key])
			return right, s
		}
	}
	right := rep.unknown || rep.held && len(rep.steps) == len(r.steps)
	for i, st := range r.steps {
		if !right {
			return false, s
		}
		was := s[st.key]
		switch st.do {
		case "get":
			right = rep.unknown || rep.steps[i].told(was)
		case "put":
			s[st.key] = cell{true, st.value, was.version + 1}
			right = rep.unknown || rep.steps[i] == s[st.key]
		case "delete":
			s[st.key] = cell{}
			right = rep.unknown || rep.steps[i].present == was.present
		}
	}
	return right, s
}

// model is the specification of the store: keys with values and versions.
var model = porcupine.Model{
	Init: func() any { return store{} },
	Step: func(state, input, output any) (bool, any) {
		return state.(store).apply(input.(request), output.(reply))
	},
	DescribeOperation: func(input, output any) string {
		return describe(input.(request), output.(reply))
	},
	DescribeState: func(state any) string { return fmt.Sprint(state) },
}

func describe(r request, rep reply) string {
	var b strings.Builder
	for _, g := range r.guards {
		fmt.Fprintf(&b, "if %d is %q ", g.key, g.value)
	}
	for i, st := range r.steps {
		fmt.Fprintf(&b, "%s %d %q", st.do, st.key, st.value)
		if i < len(rep.steps) {
			fmt.Fprintf(&b, " -> %v ", rep.steps[i])
		}
	}
	if rep.unknown {
		b.WriteString(" unknown")
	} else if !rep.held {
		fmt.Fprintf(&b, " refused, current %v", rep.current)
	}
	return b.String()
}

// byKey splits a history into one for each key. Only requests without guards on
// one key and steps on another can be split; what is left of each must be
// linearizable alone, which is weaker than the whole but much faster to see.
func byKey(history []porcupine.Operation) [][]porcupine.Operation {
	split := make([][]porcupine.Operation, ModelKeys)
	for _, op := range history {
		r, rep := op.Input.(request), op.Output.(reply)
		for key := range split {
			part, partRep := request{}, reply{unknown: rep.unknown, held: rep.held, current: rep.current}
			for _, g := range r.guards {
				if g.key == key {
					part.guards = append(part.guards, g)
				}
			}
			for i, st := range r.steps {
				if st.key != key {
					continue
				}
				part.steps = append(part.steps, st)
				if i < len(rep.steps) {
					partRep.steps = append(partRep.steps, rep.steps[i])
				}
			}
			if len(part.steps) > 0 {
				op.Input, op.Output = part, partRep
				split[key] = append(split[key], op)
			}
		}
	}
	return slices.DeleteFunc(split, func(ops []porcupine.Operation) bool { return len(ops) == 0 })
}

// Judge reports whether a history is linearizable.
func Judge(history []porcupine.Operation) porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(model, history, checkTime)
}

// JudgeByKey is Judge of each key alone, for requests without guards on one key and steps on
// another: it is weaker than the whole, but much faster.
func JudgeByKey(history []porcupine.Operation) porcupine.CheckResult {
	for _, part := range byKey(history) {
		if got := Judge(part); got != porcupine.Ok {
			return got
		}
	}
	return porcupine.Ok
}

// Spoil returns a history in which a client reads what was read before something newer was: it
// is not linearizable. It returns false if history has no such reads.
func Spoil(history []porcupine.Operation) ([]porcupine.Operation, bool) {
	reads := slices.DeleteFunc(slices.Clone(history), func(op porcupine.Operation) bool {
		r, rep := op.Input.(request), op.Output.(reply)
		return len(r.steps) != 1 || r.steps[0].do != "get" || len(rep.steps) != 1 || !rep.steps[0].present || rep.steps[0].value == hidden
	})
	of := func(op porcupine.Operation) (int, cell) {
		return op.Input.(request).steps[0].key, op.Output.(reply).steps[0]
	}
	for _, old := range reads {
		key, was := of(old)
		for _, seen := range reads {
			if k, now := of(seen); k != key || now == was || old.Return >= seen.Call {
				continue
			}
			for _, late := range reads {
				if k, _ := of(late); k != key || seen.Return >= late.Call {
					continue
				}
				spoilt := slices.Clone(history)
				i := slices.IndexFunc(spoilt, func(op porcupine.Operation) bool { return op.ClientId == late.ClientId && op.Call == late.Call })
				spoilt[i].Output = old.Output
				return spoilt, true
			}
		}
	}
	return nil, false
}
