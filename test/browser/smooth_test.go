package browser_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"

	"keywatch/test/gate"
)

// A budget is what one page spent: CPU seconds of its main thread, by kind, and
// bytes of heap.
type budget map[string]float64

// budget returns what the page has spent since it was asked to count.
func (p *tab) budget() budget {
	p.t.Helper()
	spent := budget{}
	p.run(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		got, err := cdp.Call(ctx, target, performance.GetMetrics, cdp.Empty{})
		if err != nil {
			return err
		}
		for _, m := range got.Metrics {
			spent[m.Name] = m.Value
		}
		return nil
	}))
	return spent
}

// count has the page count the CPU time of its main thread, which a busy
// machine does not change, and the time between frames, which it does.
func (p *tab) count() {
	p.t.Helper()
	p.run(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks})
		return err
	}))
	p.eval(`void (() => {
		window.frames = []
		window.tasks = []
		new PerformanceObserver(list => tasks.push(...list.getEntries().map(e => e.duration))).observe({ type: 'longtask' })
		let last = performance.now()
		const step = now => { frames.push(now - last); last = now; requestAnimationFrame(step) }
		requestAnimationFrame(step)
	})()`)
}

// collect has the page drop what it no longer needs, so that heaps compare.
func (p *tab) collect() {
	p.t.Helper()
	p.run(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, heapprofiler.CollectGarbage, cdp.Empty{})
		return err
	}))
}

// If each of 1,000 changes a second were laid out alone, instead of all of a
// frame together, pages would stutter on small machines; if what is no longer
// shown were kept, a page left open would end. What it costs is only logged.
// KEYWATCH_SMOOTH names the seconds to look.
func TestProofBusyStoreIsCheapToShow(t *testing.T) {
	gate.Long(t)
	const perSecond, batch, most, mostNodes = 1000, 20, 1.5, 200
	seconds := 5
	if text := os.Getenv("KEYWATCH_SMOOTH"); text != "" {
		seconds, _ = strconv.Atoi(text)
	}
	for _, c := range []struct {
		name string
		keys int
	}{{"10,000 keys", 10_000}, {"20 keys, all in sight", 20}} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			key := func(i int) string { return fmt.Sprintf("load/%05d", i) }
			s.fill(c.keys, key, func(i int) string { return fmt.Sprint(i) })
			p := open(t, s)
			p.until(row(key(0)))
			stop := s.load(batch, perSecond, func(n int) string { return key(n * 7919 % c.keys) })
			p.count()
			p.until(`frames.length > 30`)
			styles, layouts, nodes := p.watchFor(time.Duration(seconds) * time.Second)
			t.Logf("%d changes in all", stop())
			if styles > most || layouts > most {
				t.Errorf("styles were computed %.1f times a frame, and what was changed laid out %.1f times; want at most %.1f", styles, layouts, most)
			}
			if nodes > mostNodes {
				t.Errorf("the page has %.0f nodes more than before, want at most %d", nodes, mostNodes)
			}
		})
	}
}

// watchFor says what a page under load spends, and returns how often it computed
// styles and laid out for each frame drawn, and how many nodes it has more.
func (p *tab) watchFor(long time.Duration) (styles, layouts, nodes float64) {
	p.t.Helper()
	p.collect()
	before, began := p.budget(), time.Now()
	p.eval(`void (frames.splice(0), tasks.splice(0))`)
	for time.Since(began) < long { // the load lasts as long as it is looked at
		p.eval(`new Promise(resolve => setTimeout(resolve, 1000))`)
	}
	after, wall := p.budget(), time.Since(began).Seconds()
	frames := value[[]float64](p, `frames.sort((a, b) => a - b).map(n => Math.round(n * 10) / 10)`)
	tasks := value[[]float64](p, `tasks.sort((a, b) => b - a).slice(0, 5)`)
	p.collect()
	kept := p.budget()
	spent := func(name string) float64 { return (after[name] - before[name]) / wall }
	p.t.Logf("%.1f s; CPU of the main thread: %.1f %% (script %.1f, style %.1f, layout %.1f)", wall,
		100*spent("TaskDuration"), 100*spent("ScriptDuration"), 100*spent("RecalcStyleDuration"), 100*spent("LayoutDuration"))
	p.t.Logf("%d frames: p50 %v ms, p95 %v, p99 %v; longest tasks %v ms", len(frames), frames[len(frames)/2], frames[len(frames)*95/100], frames[len(frames)*99/100], tasks)
	p.t.Logf("heap %.2f MB, then %.2f MB; %v nodes, then %v", before["JSHeapUsedSize"]/1e6, kept["JSHeapUsedSize"]/1e6, before["Nodes"], kept["Nodes"])
	each := func(name string) float64 { return (after[name] - before[name]) / float64(len(frames)) }
	return each("RecalcStyleCount"), each("LayoutCount"), kept["Nodes"] - before["Nodes"]
}
