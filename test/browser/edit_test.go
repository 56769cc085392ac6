package browser_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"keywatch/test/gate"
)

// A stored is a key as the server has it, byte for byte.
type stored struct {
	value   []byte
	version string
	lease   string
	ttl     bool
}

func (s *server) stored(key string) stored {
	s.t.Helper()
	resp, err := http.Get(s.url + "/v1/kv/" + url.PathEscape(key))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	value, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("GET %s: %s %v", key, resp.Status, err)
	}
	return stored{value, resp.Header.Get("Keywatch-Version"), resp.Header.Get("Keywatch-Lease"), resp.Header.Get("Keywatch-TTL") != ""}
}

// lease begins a lease and returns its id.
func (s *server) lease() string {
	s.t.Helper()
	var lease struct{ ID string }
	if err := json.Unmarshal([]byte(s.do("POST", "/v1/leases", `{"ttl":"10m"}`)), &lease); err != nil || lease.ID == "" {
		s.t.Fatalf("no lease: %v", err)
	}
	return lease.ID
}

// edit opens the editor of a key, with the cursor at the end of its field.
func (p *tab) edit(key string) {
	p.t.Helper()
	p.key(key)
	p.click("#edit")
	p.until(`document.querySelector('#value')`)
	p.eval(`document.querySelector('#value').setSelectionRange(1e9, 1e9)`)
}

// saved waits until the editor is closed.
func (p *tab) saved() {
	p.t.Helper()
	p.until(`!document.querySelector('#value') && document.activeElement.id === 'edit'`)
}

// says waits until the editor says something.
func (p *tab) says(text string) {
	p.t.Helper()
	p.until(`document.querySelector('#detail .body .state')?.textContent.includes(` + quote(text) + `)`)
}

func quote(text string) string {
	quoted, _ := json.Marshal(text) // of a string it cannot fail
	return string(quoted)
}

// If the page wrote what was not changed, it would damage values that a person only
// meant to look at, or of which a person changed one letter.
func TestProofOnlyWhatWasChangedIsWritten(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	lease := s.lease()
	big := strings.Repeat("0123456789abcdef\n", 60_000)
	cases := []struct{ name, query, before, typed, after string }{
		{"plain", "", "one\ntwo", "x", "one\ntwox"},
		{"CRLF", "", "one\r\ntwo\r\n", "x", "one\r\ntwo\r\nx"},
		{"CRLF, a new line", "", "one\r\ntwo", kb.Enter + "x", "one\r\ntwo\r\nx"},
		{"CR", "", "one\rtwo", "x", "one\rtwox"},
		{"mixed ends", "", "a\r\nb\nc\rd\n\r\ne", "x", "a\r\nb\nc\rd\n\r\nex"},
		{"last line ends", "", "one\n\n", "x", "one\n\nx"},
		{"tabs, spaces", "", " \t a\t\u00a0\u3000 ", "x", " \t a\t\u00a0\u3000 x"},
		{"NUL and controls", "", "a\x00b\x1b[31m\x7f\u0085c", "x", "a\x00b\x1b[31m\x7f\u0085cx"},
		{"mark of byte order", "", "\ufeff{\"a\": 1}", " ", "\ufeff{\"a\": 1} "},
		{"separators", "", "a\u2028b\u2029c\u200bd\u202ee", "x", "a\u2028b\u2029c\u200bd\u202eex"},
		{"not composed", "", "e\u0301\u00e9 \U0001f600", "x", "e\u0301\u00e9 \U0001f600x"},
		{"large numbers", "", `{"n":9007199254740993,"f":1.0,"n":1e400}`, " ", `{"n":9007199254740993,"f":1.0,"n":1e400} `},
		{"bytes", "", "0\x82\xff\xfe\x00key", " 41", "0\x82\xff\xfe\x00keyA"},
		{"a lease", "?lease=" + lease, "up", "x", "upx"},
		{"a lease and CRLF", "?lease=" + lease, "u\r\np", "x", "u\r\npx"},
		{"a time to live", "?ttl=5m", "up", "x", "upx"},
		{"both", "?ttl=5m&lease=" + lease, "up", "x", "upx"},
		{"1 MB", "", big, "x", big + "x"},
	}
	for _, c := range cases {
		s.do("PUT", "/v1/kv/"+url.PathEscape("v/"+c.name)+c.query, c.before)
	}
	p := open(t, s)
	for _, c := range cases {
		key := "v/" + c.name
		before := s.stored(key)
		p.edit(key)
		if !value[bool](p, `document.querySelector('#save').disabled`) {
			t.Errorf("%s: Save is offered although nothing was changed", c.name)
		}
		p.chord(kb.ModifierCtrl, kb.Enter)
		p.press(c.typed)
		p.until(`!document.querySelector('#save').disabled`)
		p.click("#save")
		p.saved()
		after := s.stored(key)
		if !bytes.Equal(after.value, []byte(c.after)) {
			t.Errorf("%s: %.60q became %.60q, want %.60q", c.name, before.value, after.value, c.after)
		}
		if after.version != "2" {
			t.Errorf("%s: version %s, want 2: one save, one write", c.name, after.version)
		}
		if after.lease != before.lease || after.ttl != before.ttl {
			t.Errorf("%s: lease %q and time to live %t became %q and %t", c.name, before.lease, before.ttl, after.lease, after.ttl)
		}
	}
	p.clean()
}

// If taking back what was typed left something to save, or leaving asked about it,
// there would be no way to have changed nothing.
func TestUndoneIsUnchanged(t *testing.T) {
	s := newServer(t)
	s.put("v", "a\r\nb")
	p := open(t, s)
	p.edit("v")
	p.press("x")
	p.until(`!document.querySelector('#save').disabled`)
	p.press(kb.Backspace)
	p.until(`document.querySelector('#save').disabled`)
	p.press(kb.Escape)
	p.saved()
	if got := s.stored("v"); got.version != "1" {
		t.Errorf("the version is %s: something was written", got.version)
	}
	p.clean()
}

// If bytes could not be edited as bytes, or turned into text only by losing them,
// the page could not be let near them.
func TestProofEditBytes(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	s.put("b", "\xff\x00")
	s.put("long", strings.Repeat("\xff", 70_000))
	p := open(t, s)
	p.edit("b")
	turn := func(to string) {
		t.Helper()
		p.eval(`void (e => { e.value = ` + quote(to) + `; e.dispatchEvent(new Event('change')) })(document.querySelector('select[aria-label="Edit as"]'))`)
	}
	shows := func(want string) {
		t.Helper()
		if got := value[string](p, `document.querySelector('#value').value`); got != want {
			t.Errorf("the field shows %q, want %q", got, want)
		}
	}
	shows("ff 00")
	turn("text")
	p.says("not text")
	shows("ff 00")
	p.press(" 4")
	p.click("#save")
	p.says("pairs of hexadecimal digits")
	p.retype("#value", "c3 a9 0d 0a 41")
	turn("text")
	shows("é\nA")
	p.press("B")
	turn("hex")
	shows("c3 a9 0d 0a 41 42")
	p.click("#save")
	p.saved()
	if got := string(s.stored("b").value); got != "é\r\nAB" {
		t.Errorf("b is %q", got)
	}
	p.key("long")
	p.click("#edit")
	p.until(`document.querySelector('#detail .state.bad')?.textContent.includes('too many to edit here') && !document.querySelector('#value')`)
	p.clean()
}

// If a choice about lease and time to live did something else than it says, a key
// would go, or stay, against the will of who chose.
func TestLifetimeIsChosen(t *testing.T) {
	s := newServer(t)
	s.do("PUT", "/v1/kv/k?ttl=5m&lease="+s.lease(), "v")
	p := open(t, s)
	choose := func(what, option string) {
		t.Helper()
		p.eval(`void (e => { e.value = ` + quote(option) + `; e.dispatchEvent(new Event('change')) })(document.querySelector('#detail select[aria-label="` + what + `"]'))`)
	}
	p.edit("k")
	choose("Time to live", "set")
	p.click("#save")
	p.says("Enter a time to live") // and not a time that was not chosen
	p.retype("#detail .options input", "soon")
	p.click("#save")
	p.says("bad_duration")
	choose("Time to live", "none")
	p.click("#save")
	p.saved()
	if got := s.stored("k"); got.ttl || got.lease == "" || string(got.value) != "v" {
		t.Errorf("without a time to live: %+v", got)
	}
	p.click("#edit")
	p.until(`document.querySelector('#value')`)
	choose("Lease", "detach")
	p.click("#save")
	p.saved()
	if got := s.stored("k"); got.lease != "" || string(got.value) != "v" {
		t.Errorf("detached: %+v", got)
	}
	p.clean()
}

// If one tab could overwrite what another saved, or a hand that presses twice could,
// two people would lose each other's work.
func TestProofTwoTabsEditOneKey(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	s.do("PUT", "/v1/kv/k?lease="+s.lease(), "one")
	a := open(t, s)
	b := newTab(t, a)
	b.visit(s.url + "/")
	a.edit("k")
	b.edit("k")
	b.press(" of b")
	a.press(" of a")
	a.click("#save")
	a.saved()
	b.says("Changed meanwhile")
	save := value[[]float64](b, `(b => [b.x + b.width / 2, b.y + b.height / 2])(document.querySelector('#save').getBoundingClientRect())`)
	b.run(chromedp.MouseClickXY(save[0], save[1]), chromedp.MouseClickXY(save[0], save[1]))
	b.until(`document.querySelector('.conflict')`)
	b.run(chromedp.MouseClickXY(save[0], save[1]))
	if got := s.stored("k"); string(got.value) != "one of a" || got.version != "2" {
		t.Fatalf("after pressing Save three times: %+v", got)
	}
	b.until(`document.querySelector('#value') && document.querySelector('.theirs').textContent.trim() === 'one of a'`)
	s.do("PUT", "/v1/kv/k", "detached") // a conflict follows what is there, lease included
	b.says("Changed meanwhile")
	b.click("#replace")
	b.until(`document.querySelector('.theirs').textContent.trim() === 'detached'`)
	b.click("#replace")
	b.saved()
	if got := s.stored("k"); string(got.value) != "one of b" || got.lease != "" {
		t.Errorf("at the end: %+v", got)
	}
	a.clean()
	b.clean()
}

// If a lease that ends, or a deletion, took an edit with it or brought the key back
// unasked, either the edit or the deletion would be lost.
func TestKeyEndsWhileItIsEdited(t *testing.T) {
	s := newServer(t)
	lease := s.lease()
	s.do("PUT", "/v1/kv/k?lease="+lease, "v")
	p := open(t, s)
	p.edit("k")
	p.press("x")
	s.do("DELETE", "/v1/leases/"+lease, "")
	p.says("Deleted meanwhile, with its lease.")
	p.click("#save")
	p.until(`document.querySelector('.conflict')?.textContent.includes('does not exist')`)
	p.click("#replace")
	p.saved()
	if got := s.stored("k"); string(got.value) != "vx" || got.lease != "" || got.version != "1" {
		t.Errorf("created again: %+v", got)
	}
	p.clean()
}

// back has the page try at once to connect again, until it is live.
func (p *tab) back() {
	p.t.Helper()
	p.until(`(dispatchEvent(new Event('online')), document.querySelector('#phase').textContent === 'Live')`)
}

// If an edit did not outlast the connection, or were saved over another history of
// the same revisions, a restart or a restore would cost what people write.
func TestProofEditThroughRestarts(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	s.put("k", "v")
	p := open(t, s)
	p.edit("k")
	p.press("x")
	p.clean() // what follows is told by the browser as errors of the network
	s.stop()
	p.until(`document.querySelector('#again')`)
	p.until(`document.querySelector('#figures').matches('.stale')`)
	s.start()
	p.back()
	p.until(`document.querySelector('#value').value === 'vx' && !document.querySelector('#figures').matches('.stale')`)

	s.stop()
	s.config.Data = t.TempDir() // another store: the same key, the same revision
	s.start()
	s.put("k", "w")
	p.back()
	p.says("Changed meanwhile")
	p.click("#save")
	p.until(`document.querySelector('.theirs')?.textContent.trim() === 'w'`)
	if got := s.stored("k"); string(got.value) != "w" {
		t.Fatalf("another history was overwritten: %+v", got)
	}

	s.stop()
	s.config.Data = t.TempDir() // and one without the key
	s.start()
	p.back()
	p.says("Deleted meanwhile")
	p.click("#replace")
	p.until(`document.querySelector('.conflict')?.textContent.includes('does not exist')`)
	p.click("#take")
	p.click("dialog button[value=discard]")
	p.until(`document.querySelector('#detail .state.calm')?.textContent === 'This key does not exist.'`)
}

// If keys that only lock requests write could be edited until Save refuses, what
// was written there would have been written in vain.
func TestLockKeysAreNotEdited(t *testing.T) {
	s := newServer(t)
	s.do("POST", "/v1/locks/deploy", `{"ttl":"10m","owner":"me"}`)
	p := open(t, s)
	p.key("locks/deploy")
	p.until(`document.querySelector('#detail .actions').textContent.includes('keywatch lock --break deploy')`)
	p.press("e")
	p.press("n")
	p.until(`document.querySelector('#new-key')`)
	if value[bool](p, `Boolean(document.querySelector('#edit, #remove, #value'))`) {
		t.Error("a key of a lock can be edited or deleted")
	}
	if got := value[string](p, `document.querySelector('#new-key').value`); got != "" {
		t.Errorf("a new key is to begin with %q", got)
	}
	p.retype("#new-key", "locks/x")
	p.click("dialog button[value=create]")
	p.until(`document.querySelector('dialog .state').textContent.includes('lock requests only')`)
	p.clean()
}
