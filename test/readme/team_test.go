package readme_test

import (
	"regexp"
	"strings"

	"keywatch/test/gate"
)

// serveTeam runs a server with authentication, and another for the page, until the test ends.
func serveTeam(r *reader, b block) {
	gate.Program(r, "python3")
	r.start(r.home, b.text).shows(`(?m)^keywatch: http://127.0.0.1:7074 data=/.*/team-data fsync=always auth=on$`)
}

// asTeam returns a step that runs a block to its end, in a shell that knows the server.
func asTeam(pattern string) func(*reader, block) {
	return func(r *reader, b block) {
		r.run(r.home, "export KEYWATCH_SERVER=http://127.0.0.1:7074\n"+b.text, pattern)
	}
}

// serveSecurely runs a server over TLS until the test ends.
func serveSecurely(r *reader, b block) {
	r.start(r.home, b.text).shows(`(?m)^keywatch: https://127.0.0.1:7075 data=/.*/tls-data fsync=always auth=on tls=sha256:[0-9a-f]{64}$`)
}

// useSecurely runs the block with the fingerprint that the server has printed.
func useSecurely(r *reader, b block) {
	said := regexp.MustCompile(`tls=sha256:([0-9a-f]{64})`).FindStringSubmatch(r.running[len(r.running)-1].output())
	text := strings.Replace(b.text, "FINGERPRINT", said[1], 1)
	r.run(r.home, text, `logged in as admin until .*\n`+put+`21.5\nset editor\nadded ann\n`)
}

// teamPage opens the page at the address that the block prints: it shows what it may, and ends when
// the key is revoked.
func teamPage(r *reader, b block) {
	address := strings.TrimSpace(r.run(r.home, "export KEYWATCH_SERVER=http://127.0.0.1:7074\n"+b.text, `http://127.0.0.1:8001/wall.html#kwt_\S+\n`))
	r.later = append(r.later, func() {
		page := r.open(address)
		page.shows(`rows.textContent`, "sensors/1 is 21.5")
		asTeam(put)(r, block{text: "keywatch put sensors/1 22.5"})
		page.shows(`rows.textContent`, "sensors/1 is 22.5")
		asTeam(`revoked .*\n`)(r, block{text: "keywatch auth key revoke $(keywatch auth key list --user wall | sed -n '2s/ .*//p')"})
		page.shows(`rows.textContent`, "no longer permitted")
	})
}
