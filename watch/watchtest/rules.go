package watchtest

import (
	"errors"
	"fmt"
	"strings"
)

// A Rule is what a record must keep.
type Rule string

// The nine rules.
const (
	// Filtered: nothing comes that was not asked for.
	Filtered Rule = "filtered"
	// Ordered: changes come by revision.
	Ordered Rule = "ordered"
	// Unique: no change comes twice.
	Unique Rule = "unique"
	// Atomic: the changes of a revision come in one piece, and a position never
	// splits them.
	Atomic Rule = "atomic"
	// Bookmarked: positions stand where they belong, never go back, and nothing
	// comes that an earlier one has covered.
	Bookmarked Rule = "bookmarked"
	// Resumable: a connection continues exactly where it was asked to, or says
	// that it starts over.
	Resumable Rule = "resumable"
	// Reliable: no change is left out.
	Reliable Rule = "reliable"
	// Consistent: every change is one that happened, with its creation, version
	// and value.
	Consistent Rule = "consistent"
	// Converged: whenever the client is told that it is up to date, and at the
	// end, it holds what the store held then.
	Converged Rule = "converged"
)

// A Violation says where a record breaks a rule first.
type Violation struct {
	Rule Rule
	I    int // of the step
	Step Step
	What string
}

func (v *Violation) Error() string {
	return fmt.Sprintf("not %s: step %d (%v): %s", v.Rule, v.I, v.Step, v.What)
}

// Trace shows the steps of r before v, the newest last, and what the client had been told of the
// same key before.
func (v *Violation) Trace(r Record) string {
	var b strings.Builder
	steps := careful(r.Steps)
	for i, s := range steps[:min(v.I+1, len(steps))] {
		if v.I-i < traced || s.change() && s.Key == v.Step.Key {
			fmt.Fprintf(&b, "%d: %v\n", i, s)
		}
	}
	return b.String()
}

// traced is how many steps Trace shows.
const traced = 12

// A judge looks at one record by one rule. The first text that is not empty is
// what is wrong.
type judge interface {
	step(s Step) (wrong string)
}

// A validator is a rule and who judges by it.
type validator struct {
	rule Rule
	make func(r *Record, h *History) judge
	// latest says that the rule holds for records of the newest versions too.
	latest bool
}

var validators = []validator{
	{Filtered, func(r *Record, _ *History) judge { return &filteredJudge{r: r} }, true},
	{Ordered, func(r *Record, _ *History) judge { return &orderedJudge{latest: r.Latest, keys: revs{}} }, true},
	{Unique, func(*Record, *History) judge { return &uniqueJudge{seen: seen{}, section: seen{}} }, true},
	{Atomic, func(r *Record, h *History) judge { return &atomicJudge{sizes: sizesOf(r, h)} }, false},
	{Bookmarked, func(r *Record, h *History) judge { return &bookmarkedJudge{} }, false},
	{Resumable, func(r *Record, h *History) judge { return &resumableJudge{events: h.matching(*r), ample: r.Ample} }, false},
	{Reliable, func(r *Record, h *History) judge { return &reliableJudge{events: h.matching(*r), next: unknown} }, false},
	{Consistent, func(r *Record, h *History) judge { return &consistentJudge{h, r.NoValues} }, true},
	{Converged, func(r *Record, h *History) judge { return newConvergedJudge(r, h) }, true},
}

// Judge returns the first violation of each rule that r breaks.
func Judge(h *History, r Record) []*Violation {
	r.Steps = careful(r.Steps)
	var all []*Violation
	for _, v := range validators {
		if r.Latest && !v.latest {
			continue
		}
		j := v.make(&r, h)
		for i, s := range r.Steps {
			if wrong := j.step(s); wrong != "" {
				all = append(all, &Violation{v.rule, i, s, wrong})
				break
			}
		}
	}
	return all
}

// Check is Judge as one error, nil if r keeps all rules.
func Check(h *History, r Record) error {
	var errs []error
	for _, v := range Judge(h, r) {
		errs = append(errs, v)
	}
	return errors.Join(errs...)
}

// careful leaves out live changes at the end of a connection that no position
// covers: a client drops them, because they come again.
func careful(steps []Step) []Step {
	out := make([]Step, 0, len(steps))
	var p place
	whole := 0 // what of out is covered
	for _, s := range steps {
		if s.Kind == Connect {
			out = out[:whole]
		}
		out = append(out, s)
		if p.pass(s); s.HasAt || p.section != 0 || s.Kind == Connect || !s.change() {
			whole = len(out)
		}
	}
	return out[:whole]
}
