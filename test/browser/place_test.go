package browser_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"keywatch/test/gate"
)

// reload loads the page again. Where the page asks whether what was typed may go,
// the answer is yes; asked tells whether it did.
func (p *tab) reload() (asked bool) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	dialogs := make(chan bool, 1) // whether a dialog was there, once it was answered
	if err := chromedp.Listen(ctx, func(event any) {
		if _, ok := event.(*page.EventJavascriptDialogOpening); ok {
			go func() {
				dialogs <- chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
					_, err := cdp.Call(ctx, target, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
					return err
				})) == nil
			}()
		}
	}); err != nil {
		p.t.Fatal(err)
	}
	p.run(chromedp.Reload())
	p.until(`document.querySelector('#connection')?.textContent.startsWith('Live')`)
	select {
	case asked = <-dialogs:
	default:
	}
	return asked
}

// If what the page shows were not in its address, it could not be sent, and a
// reload would show something else.
func TestProofAddressSaysWhatIsShown(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	odd := "a/ü %25?&=#+\"<'>"
	for _, key := range []string{"a/b/one", "a/b/two", odd, "b/three"} {
		s.put(key, "x")
	}
	p := open(t, s)
	p.until(row("b/three"))
	p.retype("#prefix", "a/")
	p.until(`document.querySelector('#count').textContent === '3 keys' && location.hash === '#?prefix=a%2F'`)
	p.retype("#filter", "O")
	p.until(`location.hash === '#?prefix=a%2F&filter=O' && document.querySelector('#count').textContent === '2 of 3'`)
	p.pointRow("a/b/one")
	p.until(`document.querySelector('#detail h2')?.textContent === 'a/b/one' && location.hash === '#a%2Fb%2Fone?prefix=a%2F&filter=O'`)
	if p.reload() {
		t.Error("a reload asked although nothing was changed")
	}
	p.until(`document.querySelector('#detail h2')?.textContent === 'a/b/one' && document.querySelector('#prefix').value === 'a/' && document.querySelector('#filter').value === 'O'`)
	p.until(`document.querySelector('#count').textContent === '2 of 3' && ` + row("a/b/one") + `.matches('.selected')`)
	p.eval(`history.back()`)
	p.until(`document.querySelector('#detail').hidden && location.hash === '#?prefix=a%2F&filter=O'`)
	p.retype("#filter", "")
	p.retype("#prefix", "")
	p.until(`location.hash === '' && document.querySelector('#count').textContent === '4 keys'`)
	p.key(odd)
	p.reload()
	p.until(`document.querySelector('#detail h2')?.textContent === ` + quote(odd))
	if got := value[string](p, `location.pathname + location.search`); got != "/" {
		t.Errorf("the page is at %q", got)
	}
	p.run(chromedp.Navigate("about:blank"), chromedp.Navigate(s.url+"/#%ff")) // no address of ours
	p.until(`document.querySelector('#count')?.textContent === '4 keys' && document.querySelector('#detail').hidden`)
	p.clean()
}

// If a reload took what was typed, a slip of the hand would cost it. What is restored
// is saved only over the version that it began with.
func TestProofReloadKeepsTheEdit(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	s.do("PUT", "/v1/kv/k?ttl=5m", "one\r\ntwo")
	s.put("b", "\xff\x01")
	p := open(t, s)
	p.edit("k")
	p.press("x")
	if !p.reload() {
		t.Error("the page did not ask before it went")
	}
	p.says("unsaved changes were restored")
	p.until(`document.querySelector('#value').value === 'one\ntwox'`)
	p.click("#save")
	p.saved()
	if got := s.stored("k"); string(got.value) != "one\r\ntwox" || !got.ttl {
		t.Errorf("saved after a reload: %+v", got)
	}
	if p.reload() {
		t.Error("a reload asked although all was saved")
	}
	p.until(`document.querySelector('#detail .whole')?.textContent.includes('two')`)

	p.edit("b")
	p.press(" 0")
	s.put("b", "\xff\x02")
	p.reload()
	p.until(`document.querySelector('#value')?.value === 'ff 01 0'`)
	p.says("Changed meanwhile")
	p.press("3")
	p.click("#save")
	p.until(`document.querySelector('.theirs')?.textContent.trim() === 'ff 02'`)
	p.click("#copy")
	p.until(`document.querySelector('#value').value === 'ff 02' && document.querySelector('#replace').disabled`)
	p.click("#take") // nothing of the field would be lost, so nothing is asked
	p.saved()
	if got := s.stored("b"); string(got.value) != "\xff\x02" {
		t.Errorf("b is %q", got.value)
	}

	p.click("#edit")
	p.until(`document.querySelector('#value')`)
	p.press("x")
	p.pointRow("k")
	p.point(button("Discard"))
	p.until(`document.querySelector('#detail h2')?.textContent === 'k'`)
	p.key("b")
	if value[bool](p, `Boolean(document.querySelector('#value'))`) {
		t.Error("what was discarded is there again")
	}
	p.clean()
}

// If Escape or a reload took what was typed for a new key, it would be typed twice.
func TestProofNewKeyIsKept(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	p := open(t, s)
	p.press("n")
	p.retype("#new-key", "a/b")
	p.retype("#new-value", "long text")
	p.press(kb.Escape)
	p.until(`!document.querySelector('dialog')`)
	p.press("n")
	p.until(`document.querySelector('#new-key')?.value === 'a/b' && document.querySelector('#new-value').value === 'long text'`)
	p.reload()
	p.until(`document.querySelector('#new-key')?.value === 'a/b' && document.querySelector('#new-value').value === 'long text'`)
	p.click("dialog button[value=create]")
	p.until(row("a/b"))
	p.click("#create")
	p.until(`document.querySelector('#new-value')?.value === '' && document.querySelector('#new-key').value === 'a/'`)
	p.retype("#new-value", "discarded")
	p.click("dialog button[value=cancel]")
	p.until(`!document.querySelector('dialog')`)
	p.press("n")
	p.until(`document.querySelector('#new-value')?.value === ''`)
	p.clean()
}

// lateScript holds back what comes by WebSocket while window.late is set.
const lateScript = `
	window.late = false
	const waiting = [], Own = WebSocket
	window.WebSocket = class extends Own {
		set onmessage(fn) { super.onmessage = fn && (e => window.late ? waiting.push(() => fn(e)) : fn(e)) }
	}
	window.arrive = () => { window.late = false; for (const fn of waiting.splice(0)) fn() }
`

// If a key that a person makes were not shown when the page is told of it late, on a
// busy machine it would seem not to be there.
func TestProofNewKeyIsShownHoweverLate(t *testing.T) {
	gate.Long(t)
	for _, keys := range []int{0, 500} { // few, where all is open, and many
		t.Run(fmt.Sprint(keys), func(t *testing.T) {
			s := newServer(t)
			s.fill(keys, func(i int) string { return fmt.Sprintf("many/k%03d", i) }, func(int) string { return "x" })
			s.fill(keys, func(i int) string { return fmt.Sprintf("more/k%03d", i) }, func(int) string { return "x" })
			p := newTab(t, nil)
			p.onNewPages(lateScript)
			p.visit(s.url + "/")
			p.until(fmt.Sprintf(`document.querySelector('#count').textContent.startsWith('%d')`, min(2*keys, 1)))
			p.eval(`void (window.late = true)`)
			p.press("n")
			p.retype("#new-key", "new/prefix/key")
			p.retype("#new-value", "v")
			p.click("dialog button[value=create]")
			p.until(`document.querySelector('#detail .whole')?.textContent === 'v'`)
			if value[bool](p, "Boolean("+row("new/prefix/key")+")") {
				t.Fatal("the page was told of the key early, so nothing was tested")
			}
			p.eval(`arrive()`)
			p.until(row("new/prefix/key") + `?.matches('.selected')`)
			p.until(`(r => r.top >= 0 && r.bottom <= innerHeight)(` + row("new/prefix/key") + `.getBoundingClientRect())`)
			p.clean()
		})
	}
}

// onNewPages has every page that the tab opens from here on run a script first.
func (p *tab) onNewPages(script string) {
	p.t.Helper()
	p.run(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: "{" + script + "}"})
		return err
	}))
}

// If a key made here could be left out of the list without a word, it would seem not
// to have been made.
func TestProofHiddenNewKeyIsToldOf(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	s.put("a/one", "1")
	p := open(t, s)
	make := func(key string) {
		t.Helper()
		p.click("#create")
		p.retype("#new-key", key)
		p.click("dialog button[value=create]")
		p.until(`document.querySelector('#detail h2')?.textContent === ` + quote(key) + ` && document.querySelector('#notice').textContent.includes(` + quote(key) + `)`)
	}
	p.retype("#prefix", "a/")
	p.until(`location.hash.includes('prefix')`)
	make("b/two")
	p.point(button("Show all keys"))
	p.until(row("b/two") + `?.matches('.selected') && document.querySelector('#notice').hidden`)
	p.retype("#filter", "two")
	make("b/three")
	p.point(button("Clear the filter"))
	p.until(row("b/three") + ` && document.querySelector('#notice').hidden`)
	p.click("#pause")
	make("b/four")
	p.point(button("Resume the list"))
	p.until(row("b/four") + ` && document.querySelector('#notice').hidden && document.querySelector('#phase').textContent === 'Live'`)
	p.clean()
}

// If prefixes did not stay as a person left them, every reconnection would rearrange
// the list.
func TestProofPrefixesStayAsTheyWereLeft(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	s.put("a/b/one", "1")
	s.put("c/two", "2")
	p := open(t, s)
	p.until(row("a/b/one"))
	p.pointRow("a/b/")
	closed := row("a/b/") + ` && !` + row("a/b/one") + ` && ` + row("c/two")
	p.until(closed)
	p.clean()
	s.stop()
	p.until(`document.querySelector('#connection').matches('.waiting, .connecting')`)
	s.config.Data = t.TempDir()
	s.start()
	s.put("a/b/one", "again")
	s.put("c/two", "again")
	p.until(cell("c/two", "value") + ` === 'again'`)
	p.until(closed)
	p.visit(s.url + "/#?filter=x")
	p.reload()
	p.retype("#filter", "")
	p.until(closed)
	s.delete("a/b/one")
	p.until("!" + row("a/"))
	s.put("a/b/three", "3")
	p.until(row("a/b/") + ` && !` + row("a/b/three"))
}

// If a list that has ended, or is paused, looked like one that is live, old values
// would pass for those of now.
func TestProofListThatEndedSaysSo(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	s.put("a", "1")
	p := open(t, s)
	p.retype("#prefix", "a//b")
	p.until(`document.querySelector('#phase').textContent === 'Stopped' && document.querySelector('#notice').textContent.includes('(bad_')`)
	p.click("#pause")
	p.until(`document.querySelector('#pause').getAttribute('aria-pressed') === 'false'`)
	p.retype("#prefix", "")
	p.until(`document.querySelector('#phase').textContent === 'Live' && document.querySelector('#notice').hidden`)
	p.click("#pause")
	p.until(`document.querySelector('#phase').textContent === 'Paused'`)
	p.retype("#prefix", "a")
	p.until(`document.querySelector('#phase').textContent === 'Live' && document.querySelector('#pause').textContent === 'Pause' && !document.body.matches('.paused')`)
	p.clean()
}

// stillScript takes away the times at which the page draws without a reason.
const stillScript = `
	const interval = setInterval, timeout = setTimeout
	window.setInterval = (fn, ms) => ms === 500 ? 0 : interval(fn, ms)
	window.setTimeout = (fn, ms) => ms === 2000 ? 0 : timeout(fn, ms)
`

// If what an open key is now were drawn only when something else is, its panel would
// show old values.
func TestOpenKeyIsDrawnWhenItChanges(t *testing.T) {
	s := newServer(t)
	s.put("k", "one")
	p := newTab(t, nil)
	p.onNewPages(stillScript)
	p.visit(s.url + "/")
	p.key("k")
	p.click("#pause") // the list, which draws too, is told of nothing
	s.wait("keywatch_watchers", 1)
	for _, v := range []string{"two", "three"} {
		s.put("k", v)
		p.until(`document.querySelector('#detail .whole').textContent === ` + quote(v))
	}
	s.delete("k")
	p.until(`document.querySelector('#detail .state.calm').textContent.startsWith('Deleted at')`)
	p.clean()
}
