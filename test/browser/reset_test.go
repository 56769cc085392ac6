package browser_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"keywatch/test/gate"
)

// If a copy kept anything of a history that has ended, such as that of a store
// which was restored or replaced, it would show keys that do not exist.
func TestProofMirrorThroughResets(t *testing.T) {
	gate.Long(t)
	for _, transport := range []string{"websocket", "sse"} {
		t.Run(transport, func(t *testing.T) {
			s := newServer(t)
			one := client(t, s, nil, fmt.Sprintf("{ transport: %q }", transport))
			one.mirror()
			two := client(t, s, one, fmt.Sprintf("{ transport: %q }", transport))
			two.mirror()
			for _, p := range []*tab{one, two} {
				p.eval(`void (window.resets = 0, mirror.onchange(step => { if (step.cause === 'reset') resets++ }))`)
			}
			seed := gate.Seed(t)
			random := rand.New(rand.NewPCG(seed, 2))
			for round := range 3 {
				for range 30 {
					s.random(random)
				}
				s.put(fmt.Sprintf("only-in/%d", round), "x") // each history has one that the next has not
				one.equals(s)
				two.equals(s)
				s.stop()
				s.config.Data = t.TempDir()
				s.start()
			}
			s.put("the", "last")
			one.equals(s)
			two.equals(s)
			for _, p := range []*tab{one, two} {
				if resets := value[int](p, "resets"); resets < 3 {
					t.Errorf("%d resets, want 3 at least", resets)
				}
			}
		})
	}
}
