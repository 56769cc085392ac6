package browser_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"keywatch/test/gate"
)

// If the page built elements for what is not seen, or drew each change
// alone, a busy store would freeze it. How smooth it is depends on the machine
// and is only logged; what it is made of is not.
func TestProofManyKeysManyChanges(t *testing.T) {
	gate.Long(t)
	const keys, perSecond, batch = 10_000, 1000, 20
	s := newServer(t)
	key := func(i int) string { return fmt.Sprintf("load/%05d", i) }
	s.fill(keys, key, func(i int) string { return fmt.Sprint(i) })
	p := open(t, s)
	p.until(`document.querySelector('#count').textContent === '10,000 keys'`)
	p.until(row("load/00000"))
	p.eval(`void (() => {
		window.frames = []
		window.longest = 0
		new PerformanceObserver(list => { for (const e of list.getEntries()) longest = Math.max(longest, e.duration) }).observe({ type: 'longtask' })
		let last = performance.now()
		const step = now => { frames.push(now - last); last = now; requestAnimationFrame(step) }
		requestAnimationFrame(step)
	})()`)
	stop := s.load(batch, perSecond, func(n int) string { return key(n * 7919 % keys) })
	p.until(`frames.length > 60`)
	for range 10 { // scroll while it changes
		p.eval(`void (document.querySelector('#grid').scrollTop += 20000)`)
		p.until(`document.querySelectorAll('.row:not([hidden])').length > 10`)
	}
	p.until(`frames.length > 150 && document.querySelector('.flash-a, .flash-b')`)
	written := stop()
	if rows := value[int](p, `document.querySelectorAll('.row').length`); rows > 80 {
		t.Errorf("%d rows were built for one screen", rows)
	}
	if seen := value[bool](p, `Number(document.querySelector('#count').textContent.replace(/[^0-9]/g, '')) === 10000`); !seen {
		t.Error("the page lost count")
	}
	frames := value[[]float64](p, `frames.slice(5).sort((a, b) => a - b).map(Math.round)`)
	t.Logf("%d changes; frames: median %v ms, p95 %v ms, longest %v ms; longest task %v ms", written,
		frames[len(frames)/2], frames[len(frames)*95/100], frames[len(frames)-1], value[float64](p, "longest"))
	// What is on the screen ends as what the server has.
	s.do("PUT", "/v1/kv/"+strings.ReplaceAll(key(0), "/", "%2F"), "the end")
	p.eval(`void (document.querySelector('#grid').scrollTop = 0)`)
	p.until(row(key(0)) + `?.querySelector('.value').textContent === 'the end'`)
	p.shot("load")
	p.clean()
}

// load changes keys in batches until stop is called, which returns how many it
// changed.
func (s *server) load(batch, perSecond int, key func(n int) string) (stop func() int) {
	ended, total := make(chan struct{}), 0
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(time.Second * time.Duration(batch) / time.Duration(perSecond))
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			var ops []string
			for range batch {
				total++
				ops = append(ops, fmt.Sprintf(`{"op":"put","key":%q,"value":"%d"}`, key(total), total))
			}
			resp, err := http.Post(s.url+"/v1/batch", "application/json", strings.NewReader(`{"ops":[`+strings.Join(ops, ",")+`]}`))
			if err != nil {
				return
			}
			resp.Body.Close()
		}
	})
	return func() int {
		close(ended)
		done.Wait()
		return total
	}
}
