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

// If the page were hard to read, cut off or out of reach on some screen in some
// state, somebody could not use it there.
func TestProofEveryStateOnEveryScreen(t *testing.T) {
	gate.Long(t)
	s, empty, many := newServer(t), newServer(t), newServer(t)
	s.furnish()
	many.fill(10_000, func(i int) string { return fmt.Sprintf("load/shelf-%02d/item-%05d", i%40, i) }, func(i int) string { return fmt.Sprint(i * 37 % 1000) })
	for _, l := range looks {
		t.Run(l.name, func(t *testing.T) {
			p := newTab(t, nil)
			p.look(l)
			seen := func(state string) {
				t.Helper()
				p.audit(state, l.touch)
				p.shot(l.name + "-" + state)
			}
			p.visit(empty.url + "/")
			p.until(`document.querySelector('#empty').textContent.includes('curl')`)
			seen("empty")
			p.visit(many.url + "/")
			p.until(`document.querySelector('#count').textContent === '10,000 keys'`)
			p.clickRow("load/shelf-00/")
			p.until(row("load/shelf-00/item-00000"))
			seen("many")
			p.visit(s.url + "/")
			p.until(row("sensors/boiler/temperature"))
			s.swing("sensors/boiler/temperature", 24)
			s.swing("sensors/boiler/flow", 9)
			p.until(`document.querySelectorAll('.tile strong').length === 12`)
			p.until(`[...document.querySelectorAll('.tile strong')].every(e => e.textContent !== '–')`)
			seen("tree")
			p.key("sensors/boiler/temperature")
			s.swing("sensors/boiler/temperature", 12)
			p.until(`document.querySelector('.chart:not([hidden])') && document.querySelectorAll('.changes .when').length > 12`)
			seen("key")
			p.key("sessions/user-03")
			p.until(`document.querySelector('#detail progress:not([hidden])')`)
			seen("ttl")
			p.key("config/app")
			seen("json")
			p.key("config/certificate")
			seen("bytes")
			p.key(longKey)
			seen("long")
			p.press("e")
			p.until(`document.querySelector('#value')`)
			seen("edit")
			p.retype("#value", "mine\nboth\nmore of mine")
			s.put(longKey, "theirs\nboth\nmore of theirs")
			p.click("#save")
			p.until(`document.querySelector('.conflict')`)
			seen("conflict")
			p.click("#take")
			p.click("dialog button[value=discard]")
			p.until(`!document.querySelector('.conflict')`)
			p.point(`document.querySelector("#remove:not([disabled])")`)
			p.until(`document.querySelector('dialog button[value=delete]')`)
			seen("delete")
			p.press(kb.Escape)
			p.until(`!document.querySelector('dialog')`)
			p.click("#close")
			p.until(`document.querySelector('#detail').hidden`)
			p.click("#create")
			p.until(`document.querySelector('#new-key')`)
			seen("create")
			p.press(kb.Escape)
			p.until(`!document.querySelector('dialog')`)
			p.retype("#filter", "config")
			p.until(row("config/app"))
			seen("filter")
			p.retype("#filter", "nothing has this")
			p.until(`!document.querySelector('#empty').hidden`)
			seen("nothing")
			p.retype("#filter", "")
			p.click("#pause")
			p.until(`document.querySelector('#connection').matches('.paused')`)
			seen("paused")
			p.click("#pause")
			p.press("?")
			p.until(`document.querySelector('dialog .keys')`)
			seen("help")
			p.press(kb.Escape)
			p.clean()
			s.stop()
			p.until(`document.querySelector('#again')`)
			seen("lost")
			s.start()
			p.again()
			p.until(`document.querySelector('#connection').textContent.startsWith('Live') && document.querySelector('#notice').hidden`)
			s.delete(longKey)
			s.put(longKey, strings.Repeat("x", 300))
		})
	}
}

// key opens a key by its address and waits for its facts.
func (p *tab) key(key string) {
	p.t.Helper()
	p.eval(fmt.Sprintf(`void (location.hash = encodeURIComponent(%q))`, key))
	p.until(fmt.Sprintf(`document.querySelector('#detail h2')?.textContent === %q && document.querySelector('#detail .facts dd')?.textContent > '0'`, key))
}
