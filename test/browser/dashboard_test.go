package browser_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"keywatch/test/gate"
)

// open opens the dashboard of s in a profile of its own and waits for it to be
// live.
func open(t *testing.T, s *server) *tab {
	t.Helper()
	p := newTab(t, nil)
	p.visit(s.url + "/")
	return p
}

func (p *tab) visit(url string) {
	p.t.Helper()
	p.run(chromedp.Navigate(url))
	p.until(`document.querySelector('#connection')?.textContent.startsWith('Live')`)
}

// click presses the one element that the selector means, where a person would.
func (p *tab) click(selector string) {
	p.t.Helper()
	found := fmt.Sprintf(`document.querySelector(%q)`, selector)
	p.until(found)
	was := ""
	gate.Until(p.t, func() bool {
		before := was
		was = p.drawn("JSON.stringify(" + found + "?.getBoundingClientRect() ?? null)")
		return was == before
	}, "%s never rests, and what moves cannot be hit", selector)
	p.run(chromedp.Click(chromedp.CSS(selector)))
}

// row is an expression for the row of a path, or undefined while it is not
// there.
func row(path string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('.row:not([hidden])')].find(r => r.querySelector('.name').title === %q)`, path)
}

func (p *tab) clickRow(path string) {
	p.t.Helper()
	p.until(row(path))
	p.eval(row(path) + `.click()`)
}

// retype replaces what stands in a field.
func (p *tab) retype(selector, text string) {
	p.t.Helper()
	p.until(fmt.Sprintf(`document.querySelector(%q)`, selector))
	p.eval(fmt.Sprintf(`(() => { const f = document.querySelector(%q); f.focus(); f.select() })()`, selector))
	if text == "" {
		p.press(kb.Delete)
		return
	}
	p.press(text)
}

// If the tree did not follow what happens, people would decide on what is not so.
func TestTreeShowsWhatIsThere(t *testing.T) {
	s := newServer(t)
	s.put("a/b/c", "1")
	s.put("a/b", "both a key and a prefix")
	s.put("top", "x")
	s.put("white", " \n\t")
	p := open(t, s)
	p.until(row("a/b/"))
	if got := value[string](p, row("white")+`.querySelector('.value').dataset.empty`); got != "white space" {
		t.Errorf("a value of white space shows as %q", got)
	}
	s.delete("white")
	if got := value[string](p, row("a/b")+`.querySelector('.value').textContent`); got != "both a key and a prefix" {
		t.Errorf("a/b shows %q", got)
	}
	p.until(row("a/b/c"))
	s.put("a/b/c", "2")
	p.until(row("a/b/c") + `.querySelector('.value').textContent === '2'`)
	if !value[bool](p, row("a/b/c")+`.matches('.flash-a, .flash-b')`) {
		t.Error("the row that changed did not flash")
	}
	s.put("a/b/d", "new")
	p.until(row("a/b/d"))
	p.until(row("a/") + `.querySelector('.value').textContent === '3 keys'`)
	s.delete("a/b/c")
	p.until("!" + row("a/b/c"))
	s.do("DELETE", "/v1/kv?prefix=a%2F", "")
	p.until("!" + row("a/"))
	p.until(`document.querySelector('#count').textContent === '1 key'`)
	p.clean()
}

// If a value could become part of the page, those who may write a key could act
// for those who look at it.
func TestValuesAreTextOnly(t *testing.T) {
	s := newServer(t)
	const evil = `<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>`
	s.put("evil", evil)
	s.put(`<b onclick="window.pwned=1">key`, "x")
	p := open(t, s)
	p.clickRow("evil")
	p.until(`document.querySelector('#detail .whole')?.textContent.includes('onerror')`)
	p.click("#edit")
	p.until(`document.querySelector('#value')?.value.includes('onerror')`)
	if value[bool](p, `Boolean(window.pwned || document.querySelector('#rows img, #rows b, #detail img'))`) {
		t.Error("a value became part of the page")
	}
	p.clean()
}

// If an edit overwrote what another person wrote meanwhile, the panel would lose
// their work; if it could not go on from there, it would lose yours.
func TestEditConflict(t *testing.T) {
	const saveAt = `JSON.stringify(document.querySelector('#save').getBoundingClientRect())`
	s := newServer(t)
	s.put("config", "one")
	p := open(t, s)
	p.clickRow("config")
	p.click("#edit")
	p.until(`document.querySelector('#value')`)
	p.retype("#value", "mine")
	s.put("config", "theirs")
	p.until(`document.querySelector('#detail .state.bad')?.textContent.startsWith('Changed meanwhile')`)
	p.click("#save")
	p.until(`document.querySelector('.conflict')`)
	p.shot("conflict")
	if got := s.state("")["config"]; got != "theirs" {
		t.Fatalf("the save that lost left %q", got)
	}
	if got := value[string](p, `document.querySelector('.theirs').textContent.trim()`); got != "theirs" {
		t.Errorf("theirs shows %q", got)
	}
	if got := value[string](p, `document.querySelector('#value').value`); got != "mine" {
		t.Errorf("yours shows %q", got)
	}
	if focus := value[bool](p, `document.querySelector('#replace').matches('.primary') || document.activeElement.id === 'replace'`); focus {
		t.Error("the button that overwrites is the one that is offered")
	}
	p.chord(kb.ModifierCtrl, kb.Enter) // an impatient hand overwrites nothing
	p.until(`document.querySelector('#detail .body .state').textContent.includes('Choose below')`)
	s.put("config", "theirs again")
	p.until(`document.querySelector('#detail .state.bad')?.textContent.startsWith('Changed meanwhile')`)
	p.click("#replace") // replaces the version that was shown, which is gone: another conflict
	p.until(`document.querySelector('.theirs').textContent.trim() === 'theirs again'`)
	p.click("#replace")
	p.until(`document.querySelector('#detail .whole')?.textContent === 'mine'`)
	if got := s.state("")["config"]; got != "mine" {
		t.Errorf("after the retry the value is %q", got)
	}

	p.click("#edit")
	p.until(`document.querySelector('#value')`)
	p.retype("#value", "mine once more")
	where := value[string](p, saveAt)
	s.delete("config")
	p.until(`document.querySelector('#detail .state.bad')?.textContent.startsWith('Deleted meanwhile.')`)
	p.until(`document.querySelector('#detail .changes')?.textContent.includes('deleted')`)
	if now := value[string](p, saveAt); now != where {
		t.Errorf("Save was at %s and moved to %s under a hand", where, now)
	}
	p.click("#save")
	p.until(`document.querySelector('.conflict')?.textContent.includes('does not exist')`)
	p.click("#take")
	p.click("dialog button[value=discard]")
	p.until(`document.querySelector('#detail .state.calm')?.textContent.startsWith('Deleted at ')`)
	if _, there := s.state("")["config"]; there {
		t.Error("a deleted key came back although theirs was taken")
	}
	p.clean()
}

// If the buttons of a key did not do what they say, it could not be managed.
func TestCreateEditDelete(t *testing.T) {
	s := newServer(t)
	s.put("there", "x")
	p := open(t, s)
	p.click("#create")
	p.until(`document.querySelector('#new-key')`)
	p.retype("#new-key", "there")
	p.retype("#new-value", "21.5")
	p.click("dialog button[value=create]")
	p.until(`document.querySelector('dialog .state').textContent.includes('exists already')`)
	p.retype("#new-key", "made/here")
	p.retype("#new-ttl", "soon")
	p.click("dialog button[value=create]")
	p.until(`document.querySelector('dialog .state').textContent.includes('bad_duration')`)
	p.retype("#new-ttl", "10m")
	p.shot("create")
	p.click("dialog button[value=create]")
	p.until(`!document.querySelector('dialog') && document.querySelector('#detail h2')?.textContent === 'made/here'`)
	p.until(`document.querySelector('#detail progress:not([hidden])')?.value > 0.9`)
	p.until(`/^(9:\d\d|10:00)$/.test(document.querySelector('#detail .facts dd span, #detail .facts dd dd')?.textContent)`)
	if got := s.state("")["made/here"]; got != "21.5" {
		t.Fatalf("created with %q", got)
	}

	p.press("e")
	p.until(`document.querySelector('#value')`)
	p.retype("#value", "22.5")
	p.click("#save")
	p.until(`document.querySelector('#detail .whole')?.textContent === '22.5'`)
	p.until(`document.querySelector('.changes .version')?.textContent === 'v2'`)
	p.until(`!document.querySelector('#detail progress').hidden`) // the time to live was kept

	p.point(`document.querySelector("#remove:not([disabled])")`)
	p.until(`document.querySelector('dialog button[value=delete]')`)
	p.click("dialog button[value='']")
	p.until(`!document.querySelector('dialog')`)
	p.point(`document.querySelector("#remove:not([disabled])")`)
	p.until(`document.querySelector('dialog button[value=delete]')`)
	s.put("made/here", "changed under your hands")
	p.click("dialog button[value=delete]")
	p.until(`document.querySelector('dialog')?.textContent.includes('changed under your hands')`)
	p.click("dialog button[value=delete]")
	p.until("!" + row("made/here"))
	if _, there := s.state("")["made/here"]; there {
		t.Error("the key is still there")
	}
	p.until(`document.querySelector('#detail').hidden && document.activeElement.id === 'grid'`)
	p.clean()
}

// If paused did not hold the page still, or resumed lost something, one could
// not read what goes by.
func TestPauseAndResume(t *testing.T) {
	s := newServer(t)
	s.put("n", "1")
	s.put("gone", "x")
	p := open(t, s)
	p.until(row("n"))
	p.click("#pause")
	p.until(`document.querySelector('#connection').textContent.startsWith('Paused')`)
	s.wait("keywatch_watchers", 0) // nothing flows any more, so nothing can come late
	s.put("n", "2")
	s.delete("gone")
	s.put("made", "meanwhile")
	if got := value[string](p, row("n")+`.querySelector('.value').textContent`); got != "1" {
		t.Errorf("paused, n went to %q", got)
	}
	p.click("#pause")
	p.until(row("n") + `.querySelector('.value').textContent === '2'`)
	p.until("!" + row("gone") + " && " + row("made"))
	p.clean()
}

// If the keyboard did not reach everything, some people could not use it.
func TestKeyboard(t *testing.T) {
	s := newServer(t)
	s.put("a/one", "1")
	s.put("b/two", "2")
	p := open(t, s)
	p.until(row("b/"))
	p.eval(`document.querySelector('#grid').focus()`)
	p.press(kb.ArrowDown)
	p.until(row("a/") + `.matches('.selected')`)
	p.press(kb.ArrowLeft)
	p.until(row("a/") + `.getAttribute('aria-expanded') === 'false'`)
	p.press(kb.ArrowRight)
	p.until(row("a/one"))
	p.press(kb.ArrowRight + kb.Enter)
	p.until(`document.querySelector('#detail h2')?.textContent === 'a/one'`)
	p.press(kb.Escape)
	p.until(`document.querySelector('#detail').hidden`)
	p.press("/")
	p.press("two")
	p.until("!" + row("a/one") + " && " + row("b/two"))
	p.until(`document.querySelector('#count').textContent === '1 of 2'`)
	p.retype("#filter", "")
	p.press(kb.Escape)
	p.press("p")
	p.until(`document.querySelector('#connection').textContent.startsWith('Paused')`)
	p.press("p")
	p.press("s")
	p.until(`document.querySelector('#figures').hidden`)
	p.press("s")
	p.until(`!document.querySelector('#figures').hidden`)
	p.press("?")
	p.until(`document.querySelector('dialog')?.textContent.includes('new key')`)
	p.press(kb.Escape)
	p.until(`!document.querySelector('dialog')`)
	p.press("n")
	p.until(`document.activeElement?.id === 'new-key'`)
	p.press(kb.Escape)
	p.clean()
}

// If the server's figures stood still, trouble on a server would not be seen.
func TestProofFigures(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	p := open(t, s)
	tile := func(name string) string {
		return fmt.Sprintf(`[...document.querySelectorAll('.tile')].find(e => e.firstChild.textContent === %q).querySelector('strong').textContent`, name)
	}
	p.until(tile("Keys") + ` === '0' && ` + tile("Watchers") + ` === '1'`)
	s.fill(50, func(i int) string { return fmt.Sprintf("k/%d", i) }, func(int) string { return "v" })
	p.until(tile("Keys") + ` === '50'`)
	p.until(`/^[0-9.,]+\/s$/.test(` + tile("Writes") + `)`)
	p.until(`document.querySelector('#connection').textContent.match(/Live · [0-9.]+ ms/)`)
	p.clean()
}

// If the page did not reconnect after the server was back, a wall of
// screens would go dark one restart after the other.
func TestServerRestart(t *testing.T) {
	s := newServer(t)
	s.put("n", "before")
	p := open(t, s)
	p.until(row("n"))
	s.stop()
	p.until(`document.querySelector('#connection').matches('.waiting, .connecting')`)
	s.start()
	s.put("n", "after")
	s.put("m", "new")
	p.until(row("n") + `.querySelector('.value').textContent === 'after' && ` + row("m"))
	p.until(`document.querySelector('#connection').textContent.startsWith('Live')`)
}

// If the lease of a key did not show, its end would have no reason.
func TestLeaseShows(t *testing.T) {
	s := newServer(t)
	var lease struct{ ID string }
	if err := json.Unmarshal([]byte(s.do("POST", "/v1/leases", `{"ttl":"60s"}`)), &lease); err != nil || lease.ID == "" {
		t.Fatalf("no lease: %v", err)
	}
	s.do("PUT", "/v1/kv/job?lease="+lease.ID, "mine")
	p := open(t, s)
	p.clickRow("job")
	p.until(fmt.Sprintf(`document.querySelector('#detail .facts').textContent.includes(%q)`, lease.ID))
	s.do("DELETE", "/v1/leases/"+lease.ID, "")
	p.until(`document.querySelector('.changes')?.textContent.includes('lease')`)
	p.until("!" + row("job"))
	p.clean()
}
