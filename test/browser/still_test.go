package browser_test

import (
	"fmt"
	"testing"

	"keywatch/test/gate"
)

// placesScript says where everything stands that is to stay there.
const placesScript = `(() => {
	const places = {}
	for (const el of document.querySelectorAll('header > *, .tools > *, .tile > *, .heads > *, .row:not([hidden]) > *')) {
		const box = el.getBoundingClientRect()
		const of = el.closest('.row')?.querySelector('.name').title ?? el.closest('.tile')?.firstChild.textContent ?? el.parentElement.className
		places[of + ' ' + (el.id || el.className || el.tagName + [...el.parentElement.children].indexOf(el))] = Math.round(box.left) + ',' + Math.round(box.top)
	}
	return places
})()`

// If what changes pushed aside what does not, it could not be read or hit.
func TestProofNothingMovesWhileValuesChange(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	s.furnish()
	p := open(t, s)
	p.until(row("sensors/boiler/temperature"))
	p.until(`[...document.querySelectorAll('.tile strong')].every(e => e.textContent !== '–')`)
	s.put("sensors/boiler/temperature", "0")
	p.until(cell("sensors/boiler/temperature", "value") + " === '0'")
	before := value[map[string]string](p, placesScript)
	if len(before) < 100 {
		t.Fatalf("only %d places are looked at", len(before))
	}
	for i, v := range []string{"1", "-273.15", "100000", "", "a text that is much too long for its column and has to be cut somewhere, sooner or later, by dots", "7"} {
		s.put("sensors/boiler/temperature", v)
		s.put(fmt.Sprintf("zz-%d", i), "x") // below: what is above stays
		p.until(cell("sensors/boiler/temperature", "value") + fmt.Sprintf(" === %q", v))
		after := value[map[string]string](p, placesScript)
		for what, at := range before {
			if now, there := after[what]; there && now != at {
				t.Errorf("with %q, %s went from %s to %s", v, what, at, now)
			}
		}
	}
}
