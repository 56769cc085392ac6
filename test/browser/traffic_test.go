package browser_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// traffic is what a tab has asked for: a page that lacks one of its files shows nothing of why.
type traffic struct {
	mu struct {
		sync.Mutex
		// asked are the requests without an end, failed says how others ended badly.
		asked  map[network.RequestID]string
		failed []string
	}
}

// listen has the browser tell of the traffic.
func (p *tab) listen() {
	p.t.Helper()
	p.run(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, network.Enable, network.EnableParams{})
		return err
	}))
}

func (n *traffic) heard(event any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if n.mu.asked == nil {
			n.mu.asked = map[network.RequestID]string{}
		}
		n.mu.asked[e.RequestID] = e.Request.Method + " " + e.Request.URL
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			n.mu.failed = append(n.mu.failed, fmt.Sprintf("%s: %d %s", e.Response.URL, e.Response.Status, e.Response.StatusText))
		}
	case *network.EventLoadingFailed:
		n.mu.failed = append(n.mu.failed, fmt.Sprintf("%s: %s %s", n.mu.asked[e.RequestID], e.ErrorText, e.BlockedReason))
		delete(n.mu.asked, e.RequestID)
	case *network.EventLoadingFinished:
		delete(n.mu.asked, e.RequestID)
	}
}

// String tells what failed, and what was never answered.
func (n *traffic) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var b strings.Builder
	for _, failed := range n.mu.failed {
		fmt.Fprintf(&b, "failed: %s\n", failed)
	}
	for _, asked := range slices.Sorted(maps.Values(n.mu.asked)) {
		fmt.Fprintf(&b, "open: %s\n", asked)
	}
	return b.String()
}
