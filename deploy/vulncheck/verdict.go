package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// An allowance lets a finding pass that no release mends.
type allowance struct {
	osv    string
	until  time.Time
	reason string
}

// parseAllowed reads lines such as "GO-2026-1234 2027-06-30 not reachable from requests".
// Empty lines and those that begin with # are skipped.
func parseAllowed(text string) (list []allowance, err error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.SplitN(line, " ", 3)
		if len(f) < 3 {
			return nil, fmt.Errorf("allowed: expected an id, a date and a reason, got %q", line)
		}
		until, err := time.Parse(time.DateOnly, f[1])
		if err != nil {
			return nil, fmt.Errorf("allowed: %w", err)
		}
		list = append(list, allowance{f[0], until, f[2]})
	}
	return list, nil
}

// A verdict sorts the findings that calls reach.
type verdict struct {
	bad     []string // must be mended
	allowed []string
	old     []string // mended in the toolchain that go.mod asks for
}

// judge sorts findings. chosen is the toolchain that go.mod asks for, such as v1.26.11: a
// finding of the standard library that it mends is the concern of one who builds with
// another.
func judge(found []finding, list []allowance, chosen string, now time.Time) (v verdict) {
	seen := make(map[string]bool)
	for _, f := range found {
		if !f.called() || seen[f.OSV+f.Trace[0].Module] {
			continue
		}
		seen[f.OSV+f.Trace[0].Module] = true
		at := slices.IndexFunc(list, func(a allowance) bool { return a.osv == f.OSV })
		line := fmt.Sprintf("%s in %s %s", f.OSV, f.Trace[0].Module, f.Trace[0].Version)
		switch {
		case f.Trace[0].Module == standard && f.Fixed != "" && semver.Compare(f.Fixed, chosen) <= 0:
			v.old = append(v.old, line+", mended in Go "+f.Fixed[1:])
		case f.Fixed != "":
			v.bad = append(v.bad, line+": raise it to "+f.Fixed)
		case at < 0:
			v.bad = append(v.bad, line+": no release mends it; stop calling it, or allow it")
		case now.After(list[at].until):
			v.bad = append(v.bad, line+": was allowed until "+list[at].until.Format(time.DateOnly))
		default:
			v.allowed = append(v.allowed, line+": "+list[at].reason)
		}
	}
	return v
}

func (v verdict) text() string {
	var b strings.Builder
	for _, group := range []struct {
		title string
		lines []string
	}{
		{"to be mended", v.bad},
		{"allowed", v.allowed},
		{"only with this Go; the one that go.mod asks for mends them", v.old},
	} {
		fmt.Fprintf(&b, "%s: %d\n", group.title, len(group.lines))
		for _, line := range slices.Sorted(slices.Values(group.lines)) {
			fmt.Fprintf(&b, "  %s\n", line)
		}
	}
	return b.String()
}
