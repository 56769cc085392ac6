package readme_test

import (
	"context"
	"strings"

	"github.com/chromedp/chromedp"

	"keywatch/test/gate"
)

// A tab is a page in Chromium.
type tab struct {
	r   *reader
	ctx context.Context
}

// open returns a tab that shows a page and ends with the test.
func (r *reader) open(url string) *tab {
	r.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(gate.Program(r, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")), chromedp.NoSandbox, chromedp.DisableGPU)
	alloc, stop := chromedp.NewExecAllocator(r.Context(), options...)
	r.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	r.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		r.Fatal(err)
	}
	return &tab{r, ctx}
}

// text evaluates an expression that is a text, with its spaces as single ones.
func (t *tab) text(expression string) string {
	got, err := chromedp.Run(t.ctx, chromedp.Evaluate[string](expression))
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(got), " ")
}

// shows waits until an expression is a text that has all of want.
func (t *tab) shows(expression string, want ...string) {
	t.r.Helper()
	got := ""
	t.r.eventually(func() bool {
		got = t.text(expression)
		for _, w := range want {
			if !strings.Contains(got, w) {
				return false
			}
		}
		return true
	}, func() string { return expression + " is " + got + ", want " + strings.Join(want, ", ") })
}

// lookAtPage opens the page of the text, which shows sensors and counts clicks,
// and the dashboard.
func (r *reader) lookAtPage() {
	page := r.open("http://" + r.page + "/page.html")
	page.shows(`rows.innerText`, "sensors/1 24", "sensors/3 7")
	r.run(r.home, "keywatch put sensors/1 25", put)
	page.shows(`rows.innerText`, "sensors/1 25")
	page.text(`more.click(), ""`)
	page.shows(`target.textContent`, "1")
	page.text(`more.click(), ""`)
	page.shows(`target.textContent`, "2")
	dashboard := r.open("http://" + r.addr + "/")
	dashboard.shows(`document.body.innerText`, "sensors", "counter")
}

// eventSource has a page run the script, and looks what it logs.
func eventSource(r *reader, b block) {
	r.later = append(r.later, func() {
		page := r.open("http://" + r.addr + "/")
		page.text(`window.logged = ""; console.log = e => { logged += JSON.stringify(e) + "\n" }; "ready"`)
		page.text(`{` + r.rewrite.Replace(b.text) + `}; "watching"`)
		page.shows(`logged`, `"type":"put","key":"sensors/3","value":"7"`)
		r.run(r.home, "keywatch delete sensors/3", `(?s).*`)
		page.shows(`logged`, `"type":"delete","key":"sensors/3"`)
	})
}
