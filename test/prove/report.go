package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"keywatch/test/gate"
)

// An event is a line of go test -json.
type event struct {
	Time                          time.Time
	Action, Package, Test, Output string
}

// A proof is a test that ended.
type proof struct {
	name   string
	took   time.Duration
	result string
}

// A report is what is known of the proofs. It is not safe for concurrent use.
type report struct {
	to      io.Writer
	proofs  []proof
	skipped int                 // proofs and their subtests
	failed  int                 // packages
	output  map[string][]string // what each test and package printed, by name
	// began is when each test began or went on, by name: what Go itself says does
	// not count the time of subtests that ran in parallel.
	began map[string]time.Time
}

func newReport(to io.Writer) *report {
	return &report{to: to, output: make(map[string][]string), began: make(map[string]time.Time)}
}

// read reads events until from ends.
func (r *report) read(from io.Reader) error {
	for lines := json.NewDecoder(from); ; {
		var e event
		switch err := lines.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the events of go test: %w", err)
		}
		r.take(&e)
	}
}

// take takes in one event. What a test printed is shown if it failed or was
// skipped; what its subtests printed belongs to it.
func (r *report) take(e *event) {
	top, _, sub := strings.Cut(e.Test, "/")
	name := strings.TrimSuffix(e.Package+" "+top, " ")
	switch e.Action {
	case "run", "cont":
		if !sub {
			r.began[name] = e.Time
		}
	case "build-output":
		fmt.Fprint(r.to, e.Output)
	case "output":
		r.output[name] = append(r.output[name], e.Output)
	case "fail", "skip", "pass":
		if e.Action == "skip" && e.Test != "" {
			r.skipped++
		}
		if e.Action == "fail" && e.Test == "" {
			r.failed++
		}
		if !sub && (strings.HasPrefix(top, gate.Prefix) || e.Action == "fail") {
			r.ended(proof{name, e.Time.Sub(r.began[name]), e.Action})
		}
	}
}

func (r *report) ended(p proof) {
	if strings.Contains(p.name, " ") {
		r.proofs = append(r.proofs, p)
		fmt.Fprintf(r.to, "%s %s (%.1fs)\n", p.result, p.name, p.took.Seconds())
	}
	if p.result != "pass" || r.skippedIn(p.name) {
		fmt.Fprint(r.to, strings.Join(r.output[p.name], ""))
	}
	delete(r.output, p.name)
}

// skippedIn reports whether a subtest of a test was skipped.
func (r *report) skippedIn(name string) bool {
	return slices.ContainsFunc(r.output[name], func(line string) bool {
		return strings.HasPrefix(strings.TrimSpace(line), "--- SKIP: ")
	})
}

// end prints all proofs, the longest first, and returns what is wrong with them or
// with the run.
func (r *report) end(run error) error {
	slices.SortStableFunc(r.proofs, func(a, b proof) int { return cmp.Compare(b.took, a.took) })
	fmt.Fprintf(r.to, "\n%d proofs, the longest first:\n", len(r.proofs))
	for _, p := range r.proofs {
		fmt.Fprintf(r.to, "%8.1fs  %s  %s\n", p.took.Seconds(), p.result, p.name)
	}
	switch {
	case run != nil:
		return run
	case r.failed > 0:
		return fmt.Errorf("%d packages failed", r.failed)
	case r.skipped > 0:
		return fmt.Errorf("%d proofs or parts of them were skipped", r.skipped)
	case len(r.proofs) == 0:
		return fmt.Errorf("no test whose name begins with %s was run", gate.Prefix)
	}
	return nil
}
