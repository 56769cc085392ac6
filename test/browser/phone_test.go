package browser_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"keywatch/test/gate"
)

// tap touches the middle of the element that an expression means.
func (p *tab) tap(expression string) {
	p.t.Helper()
	p.until(expression)
	at := value[[]float64](p, `(el => { el.scrollIntoView({ block: 'nearest' }); const b = el.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] })(`+expression+`)`)
	p.run(chromedp.TapXY(at[0], at[1]))
}

// If a key on a phone could not be opened, read, changed and left with a thumb,
// the page would be of no use there.
func TestProofPhone(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	s.furnish()
	p := newTab(t, nil)
	p.look(looks[2])
	p.visit(s.url + "/")
	p.tap(row("sensors/boiler/flow"))
	p.until(`document.querySelector('#detail .whole')?.textContent === '20.0'`)
	p.until(`(b => b.left === 0 && b.top === 0 && b.width === innerWidth && b.height === innerHeight)(document.querySelector('#detail').getBoundingClientRect())`)
	p.until(`document.querySelector('#browse').inert && document.querySelector('header').inert && document.activeElement.id === 'detail'`)
	p.tap(`document.querySelector('#edit')`)
	p.retype("#value", "21.5")
	p.tap(`document.querySelector('#save')`)
	p.until(`document.querySelector('#detail .whole')?.textContent === '21.5'`)
	p.eval(`history.back()`)
	p.until(`document.querySelector('#detail').hidden && !document.querySelector('#browse').inert && !document.querySelector('header').inert`)
	p.until(cell("sensors/boiler/flow", "value") + ` === '21.5'`)
	p.until(ink(`document.querySelector('.tile canvas')`) + ` > 20`) // charts, too
	p.tap(`document.querySelector('#pause')`)
	p.until(`document.querySelector('#connection').matches('.paused')`)
	p.tap(`document.querySelector('#pause')`)
	p.tap(`document.querySelector('#theme')`)
	p.until(`document.documentElement.dataset.theme === 'light'`)
	p.tap(`document.querySelector('#create')`)
	p.until(`document.activeElement?.id === 'new-key'`)
}
