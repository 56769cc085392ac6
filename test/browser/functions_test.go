package browser_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"keywatch/test/gate"
)

// point clicks in the middle of the element that an expression means, with the
// mouse.
func (p *tab) point(expression string) {
	p.t.Helper()
	p.until(expression)
	at := value[[]float64](p, `(el => { el.scrollIntoView({ block: 'nearest' }); const b = el.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] })(`+expression+`)`)
	p.run(chromedp.MouseClickXY(at[0], at[1]))
}

func (p *tab) pointRow(path string) { p.t.Helper(); p.point(row(path)) }

// cell is an expression for the text of one column of a row.
func cell(path, column string) string {
	return fmt.Sprintf(`%s?.querySelector('.%s').textContent`, row(path), column)
}

// fact is an expression for one of the facts of the key that is open.
func fact(name string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('#detail .facts > div')].find(e => e.querySelector('dt').textContent === %q)?.querySelector('dd').textContent`, name)
}

// ink is an expression for how much is drawn on a canvas.
func ink(canvas string) string {
	return fmt.Sprintf(`(c => {
		const copy = new OffscreenCanvas(c.width || 1, c.height || 1).getContext('2d', { willReadFrequently: true })
		copy.drawImage(c, 0, 0)
		return copy.getImageData(0, 0, c.width || 1, c.height || 1).data.filter(v => v).length
	})(%s)`, canvas)
}

func button(text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('button')].find(b => b.checkVisibility() && b.textContent.trim() === %q)`, text)
}

// again asks for a connection now, if the page has not reconnected.
func (p *tab) again() { p.t.Helper(); p.eval(`void document.querySelector('#again')?.click()`) }

// functions is everything that the dashboard can do, each as a person does it:
// by pointing and typing. They run in order, on one page.
var functions = []struct {
	name string
	do   func(t *testing.T, p *tab, s *server)
}{
	{"an empty store says how to begin", func(t *testing.T, p *tab, s *server) {
		p.until(`document.querySelector('#empty').textContent.includes(location.origin + '/v1/kv/')`)
		p.point(button("New key"))
		p.press(kb.Escape)
	}},
	{"create, by Enter", func(t *testing.T, p *tab, s *server) {
		p.click("#create")
		p.retype("#new-key", "lab/first")
		p.press(kb.Tab + "1")
		p.run(chromedp.Focus(chromedp.CSS("#new-key")))
		p.press(kb.Enter)
		p.until(`document.querySelector('#detail h2')?.textContent === 'lab/first'`)
		p.click("#close")
		p.until(row("lab/first"))
	}},
	{"browse, expand and collapse", func(t *testing.T, p *tab, s *server) {
		s.put("lab/deep/second", "2")
		p.until(cell("lab/deep/second", "value") + ` === '2'`) // a new prefix does not hide what is in it
		p.pointRow("lab/deep/")
		p.until(row("lab/deep/") + ` && !` + row("lab/deep/second"))
		p.pointRow("lab/")
		p.until("!" + row("lab/first") + " && !" + row("lab/deep/"))
		p.pointRow("lab/")
		p.until(row("lab/deep/") + ` && !` + row("lab/deep/second"))
		p.pointRow("lab/deep/")
		p.until(row("lab/deep/second"))
	}},
	{"watch by prefix", func(t *testing.T, p *tab, s *server) {
		s.put("other", "x")
		p.until(`document.querySelector('#count').textContent === '3 keys'`)
		p.retype("#prefix", "lab/d")
		p.until(`document.querySelector('#count').textContent === '1 key' && !` + row("other"))
		p.retype("#prefix", "none/")
		p.point(button("Show all keys"))
		p.until(`document.querySelector('#count').textContent === '3 keys'`)
		p.until(row("lab/deep/second"))
	}},
	{"filter", func(t *testing.T, p *tab, s *server) {
		p.retype("#filter", "SECOND")
		p.until(`document.querySelector('#count').textContent === '1 of 3'`)
		p.retype("#filter", "no such thing")
		p.point(button("Clear the filter"))
		p.until(`document.querySelector('#count').textContent === '3 keys'`)
	}},
	{"live values flash and draw a line", func(t *testing.T, p *tab, s *server) {
		canvas := row("lab/first") + `.querySelector('canvas')`
		if drawn := value[int](p, ink(canvas)); drawn != 0 {
			t.Errorf("a line was drawn of one value: %d", drawn)
		}
		for i := range 5 {
			s.put("lab/first", fmt.Sprint(10+i*i%5))
			p.until(cell("lab/first", "value") + fmt.Sprintf(" === '%d'", 10+i*i%5))
		}
		if !value[bool](p, row("lab/first")+`.matches('.flash-a, .flash-b')`) {
			t.Error("no flash")
		}
		p.until(ink(canvas) + ` > 100`)
		p.until(cell("lab/first", "version") + ` === '6' && ` + cell("lab/first", "age") + ` !== ''`)
	}},
	{"open a key: value, facts, line, and a past", func(t *testing.T, p *tab, s *server) {
		p.pointRow("lab/first")
		p.until(`document.querySelector('#detail .whole')?.textContent === '11'`)
		p.until(fact("Version") + ` === '6' && ` + fact("Created at revision") + ` === '1' && ` + fact("Size") + ` === '2 B' && ` + fact("Tier") + ` === 'memory' && ` + fact("Lease") + ` === 'none'`)
		p.until(ink(`document.querySelector('#detail canvas')`) + ` > 100`)
		// Before it was opened changes came in mode latest: some may have been skipped.
		p.until(`(seen => seen[0] === 6 && seen.length > 1 && seen.every((v, i) => !i || v < seen[i - 1]))([...document.querySelectorAll('.changes .version')].map(e => Number(e.textContent.slice(1))))`)
		s.put("lab/first", "12.5")
		p.until(`document.querySelector('.changes li').textContent.includes('v7')`)
		p.until(`document.title.startsWith('lab/first')`)
	}},
	{"copy key and value", func(t *testing.T, p *tab, s *server) {
		p.eval(`Object.defineProperty(navigator, 'clipboard', { value: { writeText: async text => { window.copied = text } } })`)
		p.point(`document.querySelector('[aria-label="Copy key"]')`)
		p.until(`window.copied === 'lab/first'`)
		p.point(`document.querySelector('[aria-label="Copy value"]')`)
		p.until(`window.copied === '12.5'`)
	}},
	{"edit by compare-and-swap, with a time to live", func(t *testing.T, p *tab, s *server) {
		p.click("#edit")
		p.retype("#value", "{}")
		p.eval(`void (e => { e.value = 'set'; e.dispatchEvent(new Event('change')) })(document.querySelector('#detail select[aria-label="Time to live"]'))`)
		p.retype("#detail .options input", "60s")
		p.click("#save")
		p.until(`document.querySelector('#detail .whole')?.textContent === '{}'`)
	}},
	{"the time to live runs down", func(t *testing.T, p *tab, s *server) {
		bar := `document.querySelector('#detail progress:not([hidden])')`
		p.until(bar + `?.value <= 1`)
		p.eval(`void (window.left = ` + bar + `.value)`)
		p.until(bar + `.value < left && /^(0:)?[0-9.]+( s)?$/.test(` + fact("Time to live") + `)`)
	}},
	{"a key that ends says how", func(t *testing.T, p *tab, s *server) {
		s.do("PUT", "/v1/kv/lab%2Ffirst?ttl=50ms", "short")
		p.until(`document.querySelector('.changes .gone')?.textContent === 'expired' && document.querySelector('#detail .state').textContent.startsWith('Expired at ')`)
		p.until("!" + row("lab/first"))
		p.point(button("Create"))
		p.retype("#value", "again")
		p.click("#save")
		p.until(cell("lab/first", "value") + ` === 'again'`)
	}},
	{"what is attached to a lease says so", func(t *testing.T, p *tab, s *server) {
		var lease struct{ ID string }
		if err := json.Unmarshal([]byte(s.do("POST", "/v1/leases", `{"ttl":"60s"}`)), &lease); err != nil {
			t.Fatal(err)
		}
		s.do("PUT", "/v1/kv/lab%2Ffirst?lease="+lease.ID, "leased")
		p.until(fmt.Sprintf(`%s === %q`, fact("Lease"), lease.ID))
	}},
	{"a conflict: start from theirs, keep mine, take theirs", func(t *testing.T, p *tab, s *server) {
		conflict := func(mine, theirs string) {
			p.click("#edit")
			p.retype("#value", mine)
			s.put("lab/first", theirs)
			p.click("#save")
			p.until(fmt.Sprintf(`document.querySelector('.conflict') && document.querySelector('.theirs').textContent.trim() === %q`, theirs))
		}
		conflict("mine", "theirs")
		p.click("#copy")
		p.until(`document.querySelector('#value').value === 'theirs' && !document.querySelector('.differs')`)
		p.click("#copy")
		p.until(`document.querySelector('#value').value === 'mine'`) // nothing that was typed is lost
		p.click("#copy")
		p.retype("#value", "merged")
		p.click("#replace")
		p.until(`document.querySelector('#detail .whole')?.textContent === 'merged'`)
		conflict("mine", "theirs again")
		p.click("#take")
		p.point(button("Discard"))
		p.until(`document.querySelector('#detail .whole')?.textContent === 'theirs again'`)
		if got := s.state("")["lab/first"]; got != "theirs again" {
			t.Errorf("the value is %q", got)
		}
	}},
	{"an edit is not lost by going elsewhere", func(t *testing.T, p *tab, s *server) {
		p.click("#edit")
		p.retype("#value", "half done")
		p.pointRow("other")
		p.point(button("Keep editing"))
		p.until(`document.querySelector('#value').value === 'half done'`)
		p.eval(`history.back()`)
		p.point(button("Keep editing"))
		p.until(`decodeURIComponent(location.hash) === '#lab/first'`)
		p.point(button("Cancel"))
		p.point(button("Keep editing"))
		p.pointRow("other")
		p.point(button("Discard"))
		p.until(`document.querySelector('#detail h2')?.textContent === 'other'`)
	}},
	{"going back closes the key", func(t *testing.T, p *tab, s *server) {
		p.eval(`history.back()`)
		p.until(`document.querySelector('#detail').hidden && location.hash === ''`)
		p.eval(`history.forward()`)
		p.until(`document.querySelector('#detail h2')?.textContent === 'other'`)
	}},
	{"delete, and think better of it", func(t *testing.T, p *tab, s *server) {
		p.point(`document.querySelector("#remove:not([disabled])")`)
		p.until(`document.activeElement.textContent === 'Cancel'`) // a key pressed by chance deletes nothing
		p.press(kb.Enter)
		p.until(`!document.querySelector('dialog')`)
		p.point(`document.querySelector("#remove:not([disabled])")`)
		p.point(`document.querySelector('dialog button[value=delete]')`)
		p.until("!" + row("other") + ` && document.querySelector('#detail').hidden && document.querySelector('#said').textContent.includes('other')`)
	}},
	{"pause and resume", func(t *testing.T, p *tab, s *server) {
		p.click("#pause")
		p.until(`document.querySelector('#pause').textContent === 'Resume' && document.querySelector('#pause').getAttribute('aria-pressed') === 'true'`)
		s.wait("keywatch_watchers", 0)
		s.put("lab/first", "meanwhile")
		p.click("#pause")
		p.until(cell("lab/first", "value") + ` === 'meanwhile'`)
	}},
	{"colours: light, dark, and kept", func(t *testing.T, p *tab, s *server) {
		ground := `getComputedStyle(document.querySelector('#browse')).backgroundColor`
		p.theme("dark")
		p.until(ground + ` === 'rgb(23, 27, 30)'`)
		p.click("#theme")
		p.until(ground + ` === 'rgb(255, 255, 255)' && document.querySelector('#theme').ariaLabel === 'Colours: light'`)
		p.theme("light")
		p.click("#theme")
		p.until(ground + ` === 'rgb(23, 27, 30)'`)
		p.visit(s.url + "/")
		p.until(ground + ` === 'rgb(23, 27, 30)'`)
		p.click("#theme")
		p.until(ground + ` === 'rgb(255, 255, 255)' && document.querySelector('#theme').ariaLabel.includes('system')`)
	}},
	{"the server's figures, shown and hidden", func(t *testing.T, p *tab, s *server) {
		p.until(`[...document.querySelectorAll('.tile strong')].length === 12 && [...document.querySelectorAll('.tile strong')].every(e => /[0-9]/.test(e.textContent))`)
		p.until(`[...document.querySelectorAll('.tile canvas')].every(c => ` + ink("c") + ` > 20)`)
		p.click("#figures-toggle")
		p.until(`document.querySelector('#figures').hidden && document.querySelector('#figures-toggle').ariaExpanded === 'false'`)
		p.click("#figures-toggle")
		p.until(`!document.querySelector('#figures').hidden`)
	}},
	{"keyboard help", func(t *testing.T, p *tab, s *server) {
		p.click("#help")
		p.until(`document.querySelector('dialog .keys')`)
		p.point(button("Close"))
		p.until(`!document.querySelector('dialog')`)
	}},
	{"state of the connection, and lag", func(t *testing.T, p *tab, s *server) {
		p.until(`/^Live · [0-9.]+ ms$/.test(document.querySelector('#connection').textContent) && document.querySelector('#connection').title.includes('WebSocket')`)
		p.clean() // what follows is told by the browser as errors of the network
		s.stop()
		p.until(`document.querySelector('#connection').matches('.waiting, .connecting') && document.querySelector('#notice').textContent.startsWith('Connection lost at')`)
		p.point(`document.querySelector('#again')`)
		s.start()
		p.again()
		p.until(`document.querySelector('#phase').textContent === 'Live' && document.querySelector('#notice').hidden`)
	}},
}

// If something that the dashboard offers did not work when a person points at
// it, it would be better not to offer it.
func TestProofEveryFunction(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	p := open(t, s)
	for _, f := range functions {
		began := time.Now()
		if !t.Run(f.name, func(t *testing.T) { p.t, s.t = t, t; f.do(t, p, s) }) {
			p.t, s.t = t, t
			p.shot("failed")
			t.Fatalf("the rest builds on %q", f.name)
		}
		t.Logf("%s: %v", f.name, time.Since(began).Round(time.Millisecond))
	}
	p.t, s.t = t, t
}
