package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// report is what govulncheck prints of one finding.
func report(osv, module, fixed, function string) string {
	return fmt.Sprintf(`{"SBOM":{}}
{"finding":{"osv":%q,"fixed_version":%q,"trace":[{"module":%q,"version":"v1.0.0","package":"p"}]}}
{"finding":{"osv":%q,"fixed_version":%q,"trace":[{"module":%q,"version":"v1.0.0","package":"p","function":%q},{"module":"keywatch","package":"keywatch/web","function":"put"}]}}
`, osv, fixed, module, osv, fixed, module, function)
}

// If a finding were sorted wrong, a vulnerability would be released, or a release would be
// held up by one that concerns no one.
func TestJudge(t *testing.T) {
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, report, allowed string
		want                  string
	}{
		{"mended", report("GO-1", "example.org/m", "v1.0.1", "Read"), "", "bad GO-1 in example.org/m v1.0.0: raise it to v1.0.1"},
		{"mended, and allowed all the same", report("GO-1", "example.org/m", "v1.0.1", "Read"), "GO-1 2027-01-01 why not", "bad GO-1 in example.org/m v1.0.0: raise it to v1.0.1"},
		{"not called", report("GO-1", "example.org/m", "v1.0.1", ""), "", ""},
		{"not mended", report("GO-1", "example.org/m", "", "Read"), "GO-2 2027-01-01 other", "bad GO-1 in example.org/m v1.0.0: no release mends it; stop calling it, or allow it"},
		{"allowed", report("GO-1", "example.org/m", "", "Read"), "# text\n\nGO-1 2027-01-01 only tests read that", "allowed GO-1 in example.org/m v1.0.0: only tests read that"},
		{"allowed no more", report("GO-1", "example.org/m", "", "Read"), "GO-1 2026-11-30 soon mended", "bad GO-1 in example.org/m v1.0.0: was allowed until 2026-11-30"},
		{"an older Go", report("GO-1", standard, "v1.26.9", "Read"), "", "old GO-1 in stdlib v1.0.0, mended in Go 1.26.9"},
		{"a newer Go", report("GO-1", standard, "v1.26.12", "Read"), "", "bad GO-1 in stdlib v1.0.0: raise it to v1.26.12"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, err := parseFindings(strings.NewReader(c.report))
			if err != nil {
				t.Fatal(err)
			}
			list, err := parseAllowed(c.allowed)
			if err != nil {
				t.Fatal(err)
			}
			v := judge(found, list, "v1.26.11", now)
			var got []string
			for kind, lines := range map[string][]string{"bad": v.bad, "allowed": v.allowed, "old": v.old} {
				for _, line := range lines {
					got = append(got, kind+" "+line)
				}
			}
			if s := strings.Join(got, "; "); s != c.want {
				t.Errorf("got %q, want %q", s, c.want)
			}
		})
	}
}

// If a report that is cut short, or a line that cannot be read, passed for none, the check
// would find nothing.
func TestCutShort(t *testing.T) {
	for _, text := range []string{"", `{"config":{}}`, report("GO-1", "m", "", "Read")[:90]} {
		if _, err := parseFindings(strings.NewReader(text)); err == nil {
			t.Errorf("%q is a report", text)
		}
	}
	for _, text := range []string{"GO-1", "GO-1 2027-01-01", "GO-1 soon because"} {
		if _, err := parseAllowed(text); err == nil {
			t.Errorf("%q is an allowance", text)
		}
	}
}
