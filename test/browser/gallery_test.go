package browser_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"keywatch/test/gate"
)

// A look is a screen that the page must be good on.
type look struct {
	name, theme   string
	width, height int64
	touch         bool
}

var looks = []look{
	{"light", "light", 1440, 900, false},
	{"dark", "dark", 1440, 900, false},
	{"phone", "light", 390, 844, true},
	{"phone-dark", "dark", 390, 844, true},
}

func (p *tab) look(l look) {
	p.t.Helper()
	p.run(chromedp.EmulateViewport(l.width, l.height, func(m *emulation.SetDeviceMetricsOverrideParams, _ *emulation.SetTouchEmulationEnabledParams) {
		m.Mobile = l.touch
	}))
	p.theme(l.theme)
}

// longKey has 200 characters.
var longKey = "deep/" + strings.Repeat("a-rather-long-name-of-some-thing.", 5) + "with/an-end-that-matters-as-well"

// furnish writes some thirty keys as people have them, some of them awkward.
func (s *server) furnish() {
	s.t.Helper()
	for room, names := range map[string][]string{"boiler": {"flow", "pressure", "temperature"}, "roof": {"humidity", "rain", "wind"}, "lab": {"co2", "light", "noise"}} {
		for i, n := range names {
			s.put("sensors/"+room+"/"+n, fmt.Sprintf("%.1f", 20+float64(i)*7.3))
		}
	}
	for i := range 8 {
		s.do("PUT", fmt.Sprintf("/v1/kv/sessions%%2Fuser-%02d?ttl=%dm", i, 10+i), fmt.Sprintf(`{"user":%d,"since":"2026-11-21T0%d:00:00Z"}`, 1000+i, i))
	}
	for i := range 5 {
		s.put(fmt.Sprintf("deploy/service-%c", 'a'+i), fmt.Sprintf("v2.%d.%d", 14+i, i))
	}
	s.put("config/app", "{\n  \"features\": {\"dark\": true, \"limit\": 20.0, \"empty\": {}},\n  \"hosts\": [\"a.example\", \"b.example\"],\n  \"note\": \"a: {b}, [c]\"\n}")
	s.put("config/certificate", string([]byte{0x30, 0x82, 0x02, 0x5c, 0, 1, 2, 3, 0xff, 0xfe, 'k', 'e', 'y', 'w', 'a', 't', 'c', 'h', 0xc3}))
	s.put("config/empty", "")
	s.put("config/motd", strings.Repeat("A value that goes on and on. ", 40))
	s.put(longKey, strings.Repeat("x", 300))
	s.put("standalone", "42")
}

// swing writes what a sensor does, so that there is a line to draw.
func (s *server) swing(key string, n int) {
	s.t.Helper()
	for i := range n {
		s.put(key, fmt.Sprintf("%.1f", 60+8*math.Sin(float64(i)/2.5)+float64(i*i%3)))
	}
}

// A gallery shows states of the page on one screen.
type gallery struct {
	*tab
	s *server
	l look
}

// seen looks at a state.
func (g gallery) seen(state string) {
	g.t.Helper()
	g.audit(state, g.l.touch)
	g.shot(g.l.name + "-" + state)
}

// If the page were hard to read, cut off or out of reach on some screen in some
// state, some people could not use it there.
func TestProofEveryStateOnEveryScreen(t *testing.T) {
	gate.Long(t)
	s, empty, many := newServer(t), newServer(t), newServer(t)
	s.furnish()
	s.do("PUT", "/v1/kv/jobs%2Fone?ttl=20m&lease="+s.lease(), "first line\r\nsecond line\r\n")
	s.do("POST", "/v1/locks/deploy", `{"ttl":"30m","owner":"deploy@build-7"}`)
	many.fill(10_000, func(i int) string { return fmt.Sprintf("load/shelf-%02d/item-%05d", i%40, i) }, func(i int) string { return fmt.Sprint(i * 37 % 1000) })
	for _, l := range looks {
		t.Run(l.name, func(t *testing.T) {
			g := gallery{newTab(t, nil), s, l}
			g.look(l)
			g.visit(empty.url + "/")
			g.until(`document.querySelector('#empty').textContent.includes('curl')`)
			g.seen("empty")
			g.visit(many.url + "/")
			g.until(`document.querySelector('#count').textContent === '10,000 keys'`)
			g.clickRow("load/shelf-00/")
			g.until(row("load/shelf-00/item-00000"))
			g.seen("many")
			g.visit(s.url + "/")
			g.showKeys()
			g.showEdits()
			g.showLists()
			g.showLosses()
		})
	}
}

// showKeys shows kinds of keys, and what becomes of them.
func (g gallery) showKeys() {
	g.t.Helper()
	g.until(row("config/app"))
	g.s.swing("sensors/boiler/temperature", 24)
	g.s.swing("sensors/boiler/flow", 9)
	g.until(`document.querySelectorAll('.tile strong').length === 12`)
	g.until(`[...document.querySelectorAll('.tile strong')].every(e => e.textContent !== '–')`)
	g.seen("tree")
	g.key("sensors/boiler/temperature")
	g.s.swing("sensors/boiler/temperature", 12)
	g.until(`document.querySelector('.chart:not([hidden])') && document.querySelectorAll('.changes .when').length > 12`)
	g.seen("key")
	g.key("sessions/user-03")
	g.until(`document.querySelector('#detail progress:not([hidden])')`)
	g.seen("ttl")
	g.key("config/app")
	g.seen("json")
	g.key("config/certificate")
	g.seen("bytes")
	g.key(longKey)
	g.seen("long")
	g.key("locks/deploy")
	g.seen("lock")
	g.s.put("gone", "x")
	g.key("gone")
	g.s.delete("gone")
	g.until(`document.querySelector('#detail .state.calm')?.textContent.startsWith('Deleted at')`)
	g.seen("gone")
}

// showEdits shows states of an editor.
func (g gallery) showEdits() {
	g.t.Helper()
	g.edit("jobs/one")
	g.seen("edit-leased")
	g.press(kb.Escape)
	g.saved()
	g.edit("config/certificate")
	g.press(" 4")
	g.click("#save")
	g.says("pairs of hexadecimal digits")
	g.seen("edit-bytes")
	g.point(button("Cancel"))
	g.click("dialog button[value=discard]")
	g.saved()
	g.edit(longKey)
	g.seen("edit")
	g.retype("#value", "mine\nboth\nmore of mine")
	g.s.put(longKey, "theirs\nboth\nmore of theirs")
	g.says("Changed meanwhile")
	g.seen("changed")
	g.click("#save")
	g.until(`document.querySelector('.conflict')`)
	g.seen("conflict")
	g.click("#take")
	g.until(`document.querySelector('dialog button[value=discard]')`)
	g.seen("discard")
	g.click("dialog button[value=discard]")
	g.saved()
	g.point(`document.querySelector("#remove:not([disabled])")`)
	g.until(`document.querySelector('dialog button[value=delete]')`)
	g.seen("delete")
	g.press(kb.Escape)
	g.until(`!document.querySelector('dialog')`)
	g.click("#close")
	g.until(`document.querySelector('#detail').hidden`)
	g.s.delete(longKey)
	g.s.put(longKey, strings.Repeat("x", 300))
}

// showLists shows what the list shows, or does not show.
func (g gallery) showLists() {
	g.t.Helper()
	g.click("#create")
	g.until(`document.querySelector('#new-key')`)
	g.seen("create")
	g.press(kb.Escape)
	g.until(`!document.querySelector('dialog')`)
	g.retype("#filter", "config")
	g.until(row("config/app"))
	g.seen("filter")
	g.click("#create")
	g.retype("#new-key", "made/"+g.l.name)
	g.click("dialog button[value=create]")
	g.until(`!document.querySelector('#notice').hidden`)
	g.click("#close")
	g.until(`document.querySelector('#detail').hidden`)
	g.seen("hidden")
	g.retype("#filter", "nothing has this")
	g.until(`!document.querySelector('#empty').hidden`)
	g.seen("nothing")
	g.retype("#filter", "")
	g.click("#pause")
	g.until(`document.querySelector('#connection').matches('.paused')`)
	g.seen("paused")
	g.click("#pause")
	g.press("?")
	g.until(`document.querySelector('dialog .keys')`)
	g.seen("help")
	g.press(kb.Escape)
	g.until(`!document.querySelector('dialog')`)
}

// showLosses shows the page when it is cut off.
func (g gallery) showLosses() {
	g.t.Helper()
	g.retype("#prefix", "a//b")
	g.until(`document.querySelector('#phase').textContent === 'Stopped'`)
	g.seen("stopped")
	g.retype("#prefix", "")
	g.until(`document.querySelector('#phase').textContent === 'Live'`)
	g.clean()
	g.s.stop()
	g.until(`document.querySelector('#again') && document.querySelector('#figures').matches('.stale')`)
	g.seen("lost")
	g.s.start()
	g.again()
	g.until(`document.querySelector('#connection').textContent.startsWith('Live') && document.querySelector('#notice').hidden`)
}

// key opens a key by its address and waits for its facts.
func (p *tab) key(key string) {
	p.t.Helper()
	p.eval(fmt.Sprintf(`void (location.hash = encodeURIComponent(%q))`, key))
	p.until(fmt.Sprintf(`document.querySelector('#detail h2')?.textContent === %q && /[0-9]/.test(document.querySelector('#detail .facts dd')?.textContent)`, key))
}
