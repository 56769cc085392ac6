package browser_test

import (
	"testing"
	"time"

	"keywatch/app"
	"keywatch/test/gate"
)

// newMember starts a server of a cluster; further ones are told to join the first.
func newMember(t *testing.T, name string, join ...string) (s *server, peer string) {
	t.Helper()
	listen := gate.Address(t)
	peer = gate.Address(t)
	s = &server{t: t, config: app.ServeConfig{
		Config: app.Config{Data: t.TempDir(), Peers: app.PeerConfig{PeerListen: peer, Name: name, PeerInsecure: true, Join: join}},
		Listen: listen, Grace: 2 * time.Second,
	}}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s, peer
}

// told is an expression for what a row of the table of servers says in a column, 1 for the role.
func told(name string, column string) string {
	return `[...document.querySelectorAll('#nodes tbody tr')].find(r => r.firstChild.textContent === '` + name + `')?.children[` + column + `].textContent`
}

// If the page of servers did not say which of them leads, which is gone and how far it is, an operator would have
// to read metrics at night. A server that is alone has no such page.
func TestNodesShow(t *testing.T) {
	first, peer := newMember(t, "n1")
	second, _ := newMember(t, "n2", peer)
	p := open(t, first)
	p.until(`!document.querySelector('#nodes-toggle').hidden && document.querySelector('#nodes').hidden`)
	p.click("#nodes-toggle")
	p.until(`!document.querySelector('#nodes').hidden && ` + told("n1", "1") + ` === 'leader'`)
	p.until(told("n1", "2") + ` === 'ready' && ` + told("n2", "1") + ` === 'voter' && ` + told("n1", "5") + `.endsWith('free')`)
	if got := value[string](p, `document.querySelector('#nodes tbody a').href`); got != first.url+"/" {
		t.Errorf("the first server is linked to %q, want %q", got, first.url+"/")
	}
	second.stop()
	p.until(told("n2", "2") + ` === 'unreachable'`)
	p.until(`document.querySelector('#nodes-toggle').matches('.bad') && document.querySelector('#nodes-toggle').textContent === 'n2 unreachable'`)
	p.clean()
}
