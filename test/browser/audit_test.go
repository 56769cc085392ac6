package browser_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"keywatch/test/gate"
)

//go:embed testdata/audit.js
var auditScript string

// audit fails the test for whatever on the page is hard to read, to hit or to
// tell apart, or has no name.
func (p *tab) audit(what string, touch bool) {
	p.t.Helper()
	for _, complaint := range value[[]string](p, fmt.Sprintf("(%s)(%t)", strings.TrimSpace(auditScript), touch)) {
		p.t.Errorf("%s: %s", what, complaint)
	}
	for _, complaint := range p.nameless() {
		p.t.Errorf("%s: %s", what, complaint)
	}
}

// named are the roles that must have a name that can be read out.
var named = map[string]bool{
	"button": true, "textbox": true, "searchbox": true, "combobox": true, "link": true, "treegrid": true, "dialog": true,
	"progressbar": true, "region": true, "complementary": true, "row": true, "rowheader": true, "columnheader": true, "checkbox": true,
}

// nameless lists what the browser tells assistive technology without a name.
func (p *tab) nameless() (complaints []string) {
	p.t.Helper()
	p.run(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		tree, err := cdp.Call(ctx, target, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
		if err != nil {
			return err
		}
		for _, n := range tree.Nodes {
			if role := text(n.Role); !n.Ignored && named[role] && text(n.Name) == "" {
				complaints = append(complaints, fmt.Sprintf("a %s has no name (node %d)", role, n.BackendDOMNodeID))
			}
		}
		return nil
	}))
	return complaints
}

func text(v *accessibility.Value) (s string) {
	if v != nil {
		_ = json.Unmarshal([]byte(v.Value), &s) // anything but text counts as nothing
	}
	return strings.TrimSpace(s)
}

// focusScript describes what has the focus, and whether that can be seen.
const focusScript = `(() => {
	const el = document.activeElement, style = getComputedStyle(el)
	const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 && el.matches(':focus-visible')
	const box = el.getBoundingClientRect()
	return { name: el === document.body ? 'BODY' : el.id || el.getAttribute('aria-label') || el.textContent.slice(0, 20) || el.tagName, ring,
		inside: box.width > 0 && box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight }
})()`

type focus struct {
	Name         string
	Ring, Inside bool
}

// round presses Tab until the focus is back where it began, and returns every
// stop. A focus that cannot be seen fails the test.
func (p *tab) round(what string) (names []string) {
	p.t.Helper()
	for range 60 {
		p.press(kb.Tab)
		at := value[focus](p, focusScript)
		if len(names) > 0 && at.Name == names[0] {
			return names
		}
		if at.Name != "BODY" {
			names = append(names, at.Name)
			if !at.Ring || !at.Inside {
				p.t.Errorf("%s: the focus is on %s and cannot be seen: %+v", what, at.Name, at)
			}
		}
	}
	p.t.Errorf("%s: the focus does not come round: %v", what, names)
	return names
}

// If the audit found nothing wrong with a page on which all is wrong, it would
// be worth nothing.
func TestProofAuditFindsWhatIsWrong(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	p := open(t, s)
	p.audit("as it is", false)
	p.eval(`void (() => {
		const add = (tag, setup) => { const el = document.createElement(tag); setup(el); document.querySelector('header').append(el) }
		add('button', el => { el.id = 'bare' })
		add('span', el => { el.textContent = 'pale'; el.style.color = '#ccc' })
		add('button', el => { el.textContent = 'x'; el.style.cssText = 'min-height:0;height:9px;padding:0' })
		add('button', el => { el.textContent = 'outside'; el.style.cssText = 'position:fixed;left:-50px' })
		add('i', el => { el.id = 'bare'; el.setAttribute('aria-labelledby', 'nobody'); el.textContent = 'i' })
	})()`)
	found := strings.Join(append(value[[]string](p, fmt.Sprintf("(%s)(false)", strings.TrimSpace(auditScript))), p.nameless()...), "\n")
	for _, want := range []string{"contrast 1.", "to hit", "beyond the page", "two elements are called bare", "names nobody", "a button has no name"} {
		if !strings.Contains(found, want) {
			t.Errorf("the audit did not find %q:\n%s", want, found)
		}
	}
}
