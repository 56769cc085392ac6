package readme_test

import (
	"strings"
	"syscall"
	"testing"

	"keywatch/test/gate"
)

// exampleSteps are what becomes of each block of examples/README.md.
var exampleSteps = []step{
	{`go run ./examples/dashboard     # then open http://127.0.0.1:8080`, func(r *reader, b block) {
		page := inCheckout(r, b, "created .*\n").shows("dashboard: http://" + r.board + "\n")
		r.run(r.home, "curl http://"+r.board+"/v1/kv/sensors/1", `21\.5`)
		page.stop(syscall.SIGINT)
	}},
	{`examples/cluster/run`, func(*reader, block) {}}, // the README's
	{`examples/deploy/deploy.sh v2`, func(r *reader, b block) {
		r.run(r.root, b.text, `(?s).*`)
		r.run(r.home, "keywatch get deploy/current", `v3\n?`)
	}},
	{`go run ./examples/workers & go run ./examples/workers &`, func(r *reader, b block) {
		lines := strings.SplitN(strings.TrimSpace(b.text), "\n", 3)
		pool := r.start(r.root, lines[0]).shows(`(?s)in the pool.*in the pool`)
		r.run(r.home, lines[1], `(?:created .*\n){3}`)
		r.start(r.home, "exec "+lines[2]).shows(`(?m)^put +pool/done .* 3 by `).shows(`results/1 `).shows(`results/3 `).interrupt(true)
		pool.stop(syscall.SIGTERM)
	}},
	{`go run ./examples/reload &`, func(r *reader, b block) {
		p := inCheckout(r, b, "created .*\n").shows("level=debug workers=8\n")
		p.stop(syscall.SIGTERM)
	}},
}

// inCheckout starts the first line of a block in the checkout, waits for its
// first word, and runs the other lines.
func inCheckout(r *reader, b block, pattern string) *program {
	first, rest, _ := strings.Cut(b.text, "\n")
	p := r.start(r.root, first).shows(`\n`)
	r.run(r.home, rest, pattern)
	return p
}

// If this failed, someone who pastes what the examples' README shows would get
// something else than it says.
func TestProofExamples(t *testing.T) {
	gate.Long(t)
	gate.Program(t, "curl")
	r := newReader(t)
	r.run(r.root, "go install ./app/keywatch", "")
	r.start(r.home, "exec keywatch serve --memory-only").shows("^keywatch: http://127.0.0.1:7070 memory-only\n")
	r.follow("examples/README.md", exampleSteps)
}
