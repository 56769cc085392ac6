package main

import (
	"strings"
	"testing"
)

// Without it a proof that failed, was skipped or did not run could pass for one
// that succeeded.
func TestReport(t *testing.T) {
	const passed = `{"Time":"2030-01-01T00:00:00Z","Action":"run","Package":"p","Test":"TestProofA"}
{"Time":"2030-01-01T00:00:01Z","Action":"pause","Package":"p","Test":"TestProofA"}
{"Time":"2030-01-01T00:01:00Z","Action":"cont","Package":"p","Test":"TestProofA"}
{"Action":"output","Package":"p","Test":"TestProofA","Output":"said by a\n"}
{"Time":"2030-01-01T00:01:12.34Z","Action":"pass","Package":"p","Test":"TestProofA","Elapsed":0}
{"Action":"pass","Package":"p","Elapsed":13}
`
	for _, c := range []struct {
		name, events, wrong string
		shows, hides        []string
	}{
		{"passed", passed, "", []string{"pass p TestProofA (12.3s)", "1 proofs", "    12.3s  pass  p TestProofA"}, []string{"said by a"}},
		{"none", `{"Action":"pass","Package":"p","Elapsed":1}`, "no test whose name begins with TestProof was run", nil, nil},
		{"skipped", passed + `{"Action":"output","Package":"q","Test":"TestProofB","Output":"not here\n"}
{"Action":"skip","Package":"q","Test":"TestProofB","Elapsed":0}`, "1 proofs or parts of them were skipped", []string{"not here", "skip q TestProofB"}, nil},
		{"part skipped", `{"Action":"output","Package":"p","Test":"TestProofA/x","Output":"--- SKIP: TestProofA/x\n"}
{"Action":"skip","Package":"p","Test":"TestProofA/x","Elapsed":0}
` + passed, "1 proofs or parts of them were skipped", []string{"SKIP: TestProofA/x", "said by a"}, nil},
		{"failed", `{"Time":"2030-01-01T00:00:00Z","Action":"run","Package":"p","Test":"TestProofA"}
{"Action":"output","Package":"p","Test":"TestProofA/x","Output":"want 1, got 2\n"}
{"Action":"fail","Package":"p","Test":"TestProofA/x","Elapsed":1}
{"Time":"2030-01-01T00:00:02Z","Action":"fail","Package":"p","Test":"TestProofA","Elapsed":2}
{"Action":"fail","Package":"p","Elapsed":3}`, "1 packages failed", []string{"want 1, got 2", "fail p TestProofA (2.0s)"}, nil},
		{"does not build", passed + `{"Action":"build-output","ImportPath":"q","Output":"undefined: x\n"}
{"Action":"fail","Package":"q","Elapsed":0}`, "1 packages failed", []string{"undefined: x"}, nil},
		{"no JSON", "panic", "read the events of go test", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var printed strings.Builder
			r := newReport(&printed)
			err := r.end(r.read(strings.NewReader(c.events)))
			if c.wrong == "" && err != nil || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
				t.Errorf("%v, want %q", err, c.wrong)
			}
			for _, want := range c.shows {
				if !strings.Contains(printed.String(), want) {
					t.Errorf("it does not show %q:\n%s", want, printed.String())
				}
			}
			for _, bad := range c.hides {
				if strings.Contains(printed.String(), bad) {
					t.Errorf("it shows %q:\n%s", bad, printed.String())
				}
			}
		})
	}
}
