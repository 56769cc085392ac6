package proxies_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"

	"keywatch/test/gate"
)

// A viewer is a tab that follows a key in one way.
type viewer struct {
	name string
	tab  context.Context
}

// number returns what an expression is in the tab.
func (v *viewer) number(t *testing.T, what string) int {
	t.Helper()
	return evaluate[int](v.tab, t, what)
}

// viewers opens a tab for each way to s and each kind of stream.
func viewers(t *testing.T, s *server, pages string) (all []*viewer) {
	t.Helper()
	browser := newBrowser(t)
	for _, w := range ways {
		addr := w.open(t, s.addr)
		for _, kind := range []string{"eventSource", "webSocket"} {
			tab, cancel := chromedp.NewContext(browser)
			t.Cleanup(cancel)
			begin := chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`%s("http://%s", "k")`, kind, addr))
			if _, err := chromedp.Run(tab, chromedp.Steps(chromedp.Navigate(pages), begin)); err != nil {
				t.Fatal(err)
			}
			v := &viewer{w.name + "/" + kind, tab}
			eventually(t, v.name+" begins", func() bool { return v.number(t, "synced") > 0 })
			all = append(all, v)
		}
	}
	return all
}

// If one restart in many left a page behind, without an event or with one twice,
// dashboards would go stale after a night of deployments.
func TestProofEveryRestartIsOutlived(t *testing.T) {
	gate.Long(t)
	const restarts = 20
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, page)
	}))
	defer pages.Close()
	s := newServer(t, pages.URL)
	all := viewers(t, s, pages.URL)
	for i := range restarts {
		s.restart()
		s.put("k", fmt.Sprintf("%d %d", i, now())) // before the pages have reconnected
		for _, v := range all {
			eventually(t, fmt.Sprintf("%s gets event %d", v.name, i), func() bool { return v.number(t, "got.length") > i })
		}
	}
	for _, v := range all {
		got := evaluate[[]int](v.tab, t, "got")
		for i, n := range got {
			if n != i || len(got) != restarts {
				t.Fatalf("%s: got %v, want 0 to %d, each once", v.name, got, restarts-1)
			}
		}
	}
	t.Logf("%d of %d, in %d ways", restarts, restarts, len(all))
}
