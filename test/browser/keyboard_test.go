package browser_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"keywatch/test/gate"
)

// press presses keys, in whatever has the focus.
func (p *tab) press(keys string) { p.t.Helper(); p.keys(keys, 0) }

// chord presses a key with another one held down.
func (p *tab) chord(held kb.Modifier, key string) { p.t.Helper(); p.keys(key, int64(held)) }

// keys sends keys as a keyboard does: what a key writes comes with its going
// down, so that a page which takes the key keeps it from being written.
func (p *tab) keys(keys string, held int64) {
	p.t.Helper()
	p.run(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		for _, r := range keys {
			strokes := kb.Encode(r)
			down, up := strokes[0], strokes[len(strokes)-1]
			if len(strokes) == 3 && held&^int64(kb.ModifierShift) == 0 {
				down.Text, down.UnmodifiedText = strokes[1].Text, strokes[1].UnmodifiedText
			}
			for _, stroke := range []*input.DispatchKeyEventParams{down, up} {
				stroke.Modifiers |= held
				if _, err := cdp.Call(ctx, target, input.DispatchKeyEvent, *stroke); err != nil {
					return err
				}
			}
		}
		return nil
	}))
}

// If Tab did not reach every control, in the order in which they stand and with
// a ring around it, who has no mouse could not use the page.
func TestProofTabReachesEverything(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	s.put("a/one", "1")
	for _, theme := range []string{"light", "dark"} {
		p := newTab(t, nil)
		p.theme(theme)
		p.visit(s.url + "/")
		p.until(row("a/one"))
		bar := []string{"Skip to the keys", "pause", "figures-toggle", "theme", "help", "create", "prefix", "filter", "grid"}
		if got := p.round(theme); !slices.Equal(got, bar) {
			t.Errorf("Tab goes to\n%v, want\n%v", got, bar)
		}
		p.key("a/one")
		p.until(`!document.querySelector('#remove').disabled`)
		p.eval(`document.activeElement.blur()`) // Tab continues behind where the focus was
		if got, want := p.round(theme+" with a key"), slices.Concat(bar[1:], []string{"Copy key", "close", "Value", "edit", "remove", "Copy value"}, bar[:1]); !slices.Equal(got, want) {
			t.Errorf("Tab goes to\n%v, want\n%v", got, want)
		}
	}
}

// If any of it needed a mouse, the rest by keyboard would be of no use. Nothing
// here points at anything.
func TestWholeLifeOfAKeyByKeyboard(t *testing.T) {
	s := newServer(t)
	s.put("a/one", "1")
	p := open(t, s)
	p.until(row("a/one"))
	p.press("n")
	p.until(`document.activeElement?.id === 'new-key'`)
	p.press("a/two" + kb.Tab + "first")
	p.eval(`new MutationObserver(() => {
		if (document.querySelector('#detail h2')?.textContent === 'a/two') window.focused ??= document.activeElement.id
	}).observe(document.body, { childList: true, subtree: true })`)
	p.chord(kb.ModifierCtrl, kb.Enter)
	p.until(`window.focused !== undefined`)
	if at := value[string](p, `window.focused`); at != "grid" {
		t.Errorf("when the key is shown the focus is at %q, want the tree", at)
	}
	p.press("e")
	p.until(`document.activeElement?.id === 'value' && document.activeElement.value === 'first'`)
	p.eval(`document.activeElement.select()`)
	p.press("second")
	p.chord(kb.ModifierCtrl, kb.Enter)
	p.until(`document.querySelector('#detail .whole')?.textContent === 'second'`)
	p.until(`document.activeElement?.id === 'edit'`)
	p.press(kb.Tab + kb.Enter) // Delete
	p.until(`document.activeElement?.textContent === 'Cancel'`)
	p.chord(kb.ModifierShift, kb.Tab)
	p.until(`document.activeElement?.textContent === 'Delete'`)
	p.press(kb.Enter)
	p.until("!" + row("a/two") + ` && ` + row("a/one") + `.matches('.selected')`) // the cursor has not left the list
	p.until(`document.querySelector('#detail').hidden && document.activeElement?.id === 'grid'`)
	p.press(kb.Home + kb.ArrowRight + kb.Enter)
	p.until(`document.querySelector('#detail h2')?.textContent === 'a/one'`)
	if _, there := s.state("")["a/two"]; there {
		t.Error("a/two is still there")
	}
}

// If what is typed while the focus is still in a dialog that has just been closed
// were taken for what is written there, it would be lost. The page has no time
// here to move the focus.
func TestKeysAfterADialog(t *testing.T) {
	s := newServer(t)
	p := open(t, s)
	p.press("n")
	p.until(`document.activeElement?.id === 'new-key'`)
	p.eval(`void (() => {
		const field = document.activeElement
		field.closest('dialog').close()
		field.dispatchEvent(new KeyboardEvent('keydown', { key: '?', bubbles: true, cancelable: true }))
	})()`)
	p.until(`document.querySelector('dialog .keys')`)
}

// If the cursor of the tree left the screen, or what is read out were not where
// it is, the keyboard would lead nowhere.
func TestCursorStaysOnScreen(t *testing.T) {
	s := newServer(t)
	s.fill(500, func(i int) string { return fmt.Sprintf("k/%03d", i) }, func(i int) string { return fmt.Sprint(i) })
	p := open(t, s)
	p.until(row("k/"))
	p.eval(`document.querySelector('#grid').focus()`)
	inSight := func() {
		t.Helper()
		p.until(`(() => {
			const grid = document.querySelector('#grid'), heads = grid.querySelector('.heads').getBoundingClientRect().bottom, all = grid.getBoundingClientRect()
			const one = document.querySelector('.row.selected:not([hidden])').getBoundingClientRect()
			return one.top >= heads - 1 && one.bottom <= all.bottom + 1
		})()`)
	}
	at := func(path string) {
		t.Helper()
		p.until(fmt.Sprintf(`document.getElementById(document.querySelector('#grid').getAttribute('aria-activedescendant'))?.querySelector('.name').title === %q`, path))
		inSight()
	}
	if !value[bool](p, row("k/000")+" !== undefined") { // one prefix at the top is open from the start
		t.Error("the only prefix is closed")
	}
	p.press(kb.End)
	at("k/499")
	p.press(kb.PageUp + kb.PageUp + kb.ArrowUp)
	p.press(kb.Home)
	at("k/")
	p.press(kb.PageDown + kb.PageDown + kb.PageDown)
	p.until(`document.querySelector('#grid').scrollTop > 0`)
	inSight()
	p.press(kb.ArrowLeft) // to the prefix above
	at("k/")
	p.press(kb.ArrowLeft)
	p.until("!" + row("k/000"))
}
