package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"keywatch/test/gate"
)

// client opens a tab on an empty page of the server, with keywatch.js as kw.
func client(t *testing.T, s *server, of *tab, options string) *tab {
	t.Helper()
	p := newTab(t, of)
	p.run(chromedp.Navigate(s.url + "/healthz"))
	p.eval(`import('/keywatch.js').then(m => { window.kw = new m.Keywatch(` + options + `) })`)
	return p
}

// mirror has the tab keep a copy of everything, and count where a pair of keys
// that is always written together was seen apart.
func (p *tab) mirror() {
	p.t.Helper()
	p.eval(`(async () => {
		window.torn = 0
		window.mirror = kw.mirror()
		mirror.onchange(() => { if (mirror.get('pair/a')?.value !== mirror.get('pair/b')?.value) torn++ })
		await mirror.ready
	})()`)
}

// copied returns the tab's copy.
func (p *tab) copied() map[string]string {
	p.t.Helper()
	return value[map[string]string](p, `Object.fromEntries([...mirror].map(([k, e]) => [k, e.value]))`)
}

// equals waits until the tab's copy is what the server has.
func (p *tab) equals(s *server) {
	p.t.Helper()
	want := s.state("")
	gate.Until(p.t, func() bool { return maps.Equal(p.copied(), want) }, "the copy is not what the server has, %v: %s",
		want, func() string {
			return fmt.Sprintf("%v\nstate %s", p.copied(), value[string](p, `JSON.stringify(kw.state)`))
		})
	if torn := value[int](p, "torn"); torn > 0 {
		p.t.Errorf("%d times a batch was seen in part", torn)
	}
}

// follow has the tab write down the version of every change of key n.
func (p *tab) follow() {
	p.t.Helper()
	p.eval(`new Promise(resolve => {
		window.seen = []
		window.gaps = 0
		window.watch = kw.watch({ keys: ['n'] }, { put: e => seen.push(e.version), resync: () => gaps++, synced: resolve })
	})`)
}

// consecutive fails the test unless the tab has seen every version up to last,
// each once, but for those that the server said were gone.
func (p *tab) consecutive(last int) {
	p.t.Helper()
	p.until(fmt.Sprintf("seen.at(-1) >= %d", last))
	seen, gaps := value[[]int](p, "seen"), value[int](p, "gaps")
	for i, v := range seen {
		if i == 0 || v == seen[i-1]+1 {
			continue
		}
		if gaps--; v <= seen[i-1] || gaps < 0 {
			p.t.Fatalf("version %d came after %d", v, seen[i-1])
		}
	}
	if seen[len(seen)-1] != last {
		p.t.Fatalf("the last version is %d, want %d", seen[len(seen)-1], last)
	}
}

func (p *tab) role() string { return value[string](p, `kw.state.role ?? 'alone'`) }

// If every tab had a socket of its own, ten tabs would cost ten.
func TestProofTabsShareOneSocket(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	s.put("n", "1")
	one := client(t, s, nil, "")
	one.follow()
	two, three := client(t, s, one, ""), client(t, s, one, "")
	two.follow()
	three.follow()
	s.wait("keywatch_watchers", 3)
	s.wait("keywatch_sockets", 1)
	for i := 2; i <= 5; i++ {
		s.put("n", fmt.Sprint(i))
	}
	for _, p := range []*tab{one, two, three} {
		p.consecutive(5)
	}
	if one.role() != "leader" || two.role() != "follower" {
		t.Errorf("roles are %s and %s", one.role(), two.role())
	}
	if ms := value[float64](two, `kw.ping()`); ms <= 0 {
		t.Errorf("a follower's ping took %v ms", ms)
	}
	two.run(chromedp.Navigate("about:blank")) // a tab that leaves takes its watches along
	s.wait("keywatch_watchers", 2)
	three.eval(`watch.close()`)
	s.wait("keywatch_watchers", 1)
	one.clean()
}

// If the death of the tab that leads lost anything, no tab could rely on another.
func TestProofLeadingTabDies(t *testing.T) {
	gate.Long(t)
	for _, way := range []string{"crash", "close"} {
		t.Run(way, func(t *testing.T) {
			s := newServer(t)
			s.put("n", "0")
			// The leader has a window to itself, so that its process is its own.
			leader := client(t, s, nil, "")
			leader.follow()
			var rest []*tab
			for range 2 {
				p := client(t, s, leader, "")
				p.follow()
				rest = append(rest, p)
			}
			for i := range 200 {
				s.put("n", fmt.Sprint(i))
				if i == 60 {
					leader.kill(way)
				}
			}
			for _, p := range rest {
				p.consecutive(201)
			}
			s.wait("keywatch_sockets", 1)
			s.wait("keywatch_watchers", 2)
			if a, b := rest[0].role(), rest[1].role(); a == b {
				t.Errorf("both tabs say %s", a)
			}
			s.put("n", "after")
			for _, p := range rest {
				p.consecutive(202)
				p.clean()
			}
		})
	}
}

// kill ends the tab: as a person closes it, or without its having a say.
func (p *tab) kill(way string) {
	p.t.Helper()
	end := page.Crash
	if way == "close" {
		end = page.Close
	}
	ctx, stop := context.WithTimeout(p.ctx, time.Second) // a page that is gone gives no answer
	defer stop()
	_ = chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, end, cdp.Empty{})
		return err
	}))
}

// If a restart lost something, or told something twice, it would show here.
func TestProofRestartResumes(t *testing.T) {
	gate.Long(t)
	for _, transport := range []string{"websocket", "sse"} {
		t.Run(transport, func(t *testing.T) {
			s := newServer(t)
			s.put("n", "0")
			one := client(t, s, nil, fmt.Sprintf("{ transport: %q }", transport))
			one.follow()
			two := client(t, s, one, fmt.Sprintf("{ transport: %q }", transport))
			two.follow()
			for i := range 60 {
				s.put("n", fmt.Sprint(i))
				if i%20 == 10 {
					s.stop()
					s.start()
				}
			}
			for _, p := range []*tab{one, two} {
				p.consecutive(61)
				if got := value[string](p, "kw.state.transport"); got != transport {
					t.Errorf("reconnected by %s", got)
				}
			}
		})
	}
}

// If a copy were not what the server has, everything drawn from it would be
// wrong; if half a batch showed in it, sometimes.
func TestProofMirrorEqualsServer(t *testing.T) {
	gate.Long(t)
	for _, transport := range []string{"websocket", "sse"} {
		t.Run(transport, func(t *testing.T) {
			s := newServer(t)
			s.config.History = 64 << 10 // so that a pause needs a resync
			s.stop()
			s.start()
			one := client(t, s, nil, fmt.Sprintf("{ transport: %q }", transport))
			one.mirror()
			two := client(t, s, one, fmt.Sprintf("{ transport: %q }", transport))
			two.mirror()
			seed := gate.Seed(t)
			random := rand.New(rand.NewPCG(seed, 1))
			write := func(n int) {
				for range n {
					s.random(random)
				}
			}
			write(60)
			one.equals(s)
			two.equals(s)
			s.stop()
			s.start()
			write(60)
			one.equals(s)
			two.equals(s)
			two.eval("mirror.pause()")
			s.wait("keywatch_watchers", 1)
			before := s.metric("keywatch_watch_resyncs_total")
			for i := range 200 {
				s.put(fmt.Sprintf("big/%d", i%7), strings.Repeat("x", 1000)+fmt.Sprint(i))
			}
			write(40)
			two.eval("mirror.resume()")
			one.equals(s)
			two.equals(s)
			if after := s.metric("keywatch_watch_resyncs_total"); after == before {
				t.Error("there was no resync, so that none was tested")
			}
			one.clean()
			two.clean()
		})
	}
}

// random changes something: one key, a pair, or a whole prefix.
func (s *server) random(r *rand.Rand) {
	s.t.Helper()
	key := fmt.Sprintf("dir%d/key%d", r.IntN(3), r.IntN(8))
	switch n := r.IntN(10); {
	case n < 5:
		s.put(key, fmt.Sprint(r.IntN(1000)))
	case n < 7:
		s.do("POST", "/v1/batch", fmt.Sprintf(`{"ops":[{"op":"delete","key":%q}]}`, key))
	case n < 9:
		v := r.IntN(1e6)
		s.do("POST", "/v1/batch", fmt.Sprintf(`{"ops":[{"op":"put","key":"pair/a","value":"%d"},{"op":"put","key":%q,"value":"1"},{"op":"put","key":"pair/b","value":"%d"}]}`, v, key, v))
	default:
		s.do("DELETE", "/v1/kv?prefix="+key[:5], "")
	}
}

// If a page could not do without Web Locks, none could from another machine
// over plain HTTP, where browsers do not have them.
func TestWithoutWebLocks(t *testing.T) {
	s := newServer(t)
	s.put("n", "1")
	p := newTab(t, nil)
	p.run(chromedp.Navigate(s.url + "/healthz"))
	p.eval(`Object.defineProperty(navigator, 'locks', { value: undefined });
		import('/keywatch.js').then(m => { window.kw = new m.Keywatch() })`)
	p.follow()
	s.put("n", "2")
	p.consecutive(2)
	if p.role() != "alone" {
		t.Errorf("the role is %s", p.role())
	}
}

// If the commands did not do what their types say, callers would find out in
// production.
func TestCommands(t *testing.T) {
	s := newServer(t)
	p := client(t, s, nil, "")
	answer := value[json.RawMessage](p, `(async () => {
		const eq = (got, want, what) => { if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(what + ': ' + JSON.stringify(got)) }
		const a = await kw.put('a', 'one')
		eq([a.ok, a.version, a.created], [true, 1, true], 'put')
		const e = await kw.get('a')
		eq([e.value, e.etag, e.tier], ['one', a.etag, 'memory'], 'get')
		eq((await kw.put('a', 'two', { ifMatch: e.etag })).ok, true, 'swap by etag')
		const lost = await kw.put('a', 'three', { ifMatch: e.etag })
		eq([lost.ok, lost.code, lost.current.value], [false, 'compare_failed', 'two'], 'lost swap')
		eq((await kw.put('a', 'four', { ifRev: lost.current.rev })).version, 3, 'swap by revision')
		eq((await kw.put('a', 'five', { ifRev: lost.current.rev })).current.value, 'four', 'lost swap by revision')
		eq((await kw.put('a', 'x', { ifAbsent: true })).ok, false, 'absent')
		eq((await kw.cas('a', 'four', 'five')).ok, true, 'cas')
		eq((await kw.cas('a', 'four', 'six')).current.value, 'five', 'lost cas')
		eq((await kw.put('bytes', new Uint8Array([0, 255]), { ttl: 60000 })).ok, true, 'bytes')
		const b = await kw.get('bytes')
		eq([[...b.value], b.expires > Date.now() + 50000], [[0, 255], true], 'bytes back')
		const batch = await kw.batch({ checks: [{ key: 'a', value: 'five' }], ops: [{ op: 'put', key: 'c', value: 'x' }, { op: 'get', key: 'a' }] })
		eq([batch.committed, batch.results[1].value], [true, 'five'], 'batch')
		const not = await kw.batch({ checks: [{ key: 'a', exists: false }], ops: [{ op: 'delete', key: 'c' }] })
		eq([not.ok, not.code, not.index], [false, 'check_failed', 0], 'failed batch')
		eq((await kw.list({ keys: true, limit: 2 })).entries.map(e => e.key), ['a', 'bytes'], 'list')
		const all = []
		for await (const e of kw.scan({ limit: 1 })) all.push(e.key)
		eq(all, ['a', 'bytes', 'c'], 'scan')
		eq([(await kw.delete('c')).ok, (await kw.delete('c')).code, await kw.get('c')], [true, 'key_not_found', null], 'delete')
		const seen = []
		for await (const m of kw.watch({ keys: ['a'] })) {
			seen.push(m.type)
			if (m.type === 'synced') kw.put('a', 'last')
			if (m.value === 'last') break
		}
		eq(seen, ['reset', 'put', 'synced', 'put'], 'iterator')
		let refused
		try { for await (const m of kw.watch({ keys: ['a//b'] })); } catch (err) { refused = err.code }
		eq(refused, 'bad_key', 'bad watch')
		return true
	})()`)
	if string(answer) != "true" {
		t.Errorf("the page answered %s", answer)
	}
	p.clean()
}

// If a leader that hangs kept the lead, every tab would hang with it.
func TestProofLeaderThatHangs(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	s.put("n", "1")
	leader := client(t, s, nil, "")
	leader.follow()
	p := client(t, s, leader, "")
	p.follow()
	leader.eval(`void setTimeout(() => { for (const end = Date.now() + 8000; Date.now() < end;); })`)
	s.put("n", "2")
	p.eval(`dispatchEvent(new Event('online'))`) // has it look after its leader
	p.until(`kw.state.role === 'leader'`)
	s.put("n", "3")
	p.consecutive(3)
	leader.until(`kw.state.role === 'follower'`)
	s.put("n", "4")
	leader.consecutive(4)
	p.consecutive(4)
	s.wait("keywatch_sockets", 1)
}
