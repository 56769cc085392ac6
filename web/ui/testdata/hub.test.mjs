import { test } from 'node:test'
import assert from 'node:assert/strict'
import { Hub, backoff, reconnects } from './keywatch.mjs'

/** A world has the links that a hub opened; each is told by hand what comes. */
function world(options = {}) {
  const links = []
  const link = (socket, on) => {
    const l = { socket, on, transport: socket ? 'websocket' : 'sse', heard: Date.now(), subs: [], gone: [], closed: false, n: 0,
      subscribe(query, since) { l.subs.push({ n: ++l.n, query, since }); return l.n },
      unsubscribe(n) { l.gone.push(n) }, check() {}, close() { l.closed = true }, ping: async () => 1 }
    links.push(l)
    return l
  }
  return { links, hub: new Hub({ transport: 'websocket', link, ...options }) }
}

/** came waits until n messages were delivered. */
async function came(got, n) {
  for (const end = performance.now() + 5000; got.length < n;) {
    assert.ok(performance.now() < end, `${got.length} messages came, want ${n}`)
    await new Promise(resolve => setTimeout(resolve, 1))
  }
}

function subscribe({ hub }, key = 1, query = { keys: ['a'] }, pos = undefined) {
  const got = [], failed = []
  hub.add(key, query, pos, messages => got.push(...messages), err => failed.push(err))
  return { got, failed }
}

const put = (rev, pos, key = 'a') => ({ type: 'put', key, value: String(rev), rev, ...(pos ? { pos: `e-${rev}` } : { more: true }) })

// If clients came back together, or too late, a restart would be an outage.
test('backoff is full jitter between 0.5 and 20 s', () => {
  for (const [tries, cap] of [[0, 500], [1, 1000], [4, 8000], [6, 20000], [1000, 20000]]) {
    assert.equal(backoff(tries, () => 1), cap)
    assert.equal(backoff(tries, () => 0), 0)
  }
})

// If a client that was sent away for good came back, it would do so for ever.
test('close codes', () => {
  for (const code of [1000, 1001, 1006, 1011, 1012, 1013, 3000, 3499, 4000]) assert.ok(reconnects(code), `${code}`)
  for (const code of [3500, 3999]) assert.ok(!reconnects(code), `${code}`)
})

// If half of a revision were passed on, a copy would show what never was.
test('a revision is passed on whole', async () => {
  const w = world(), { got } = subscribe(w)
  const [l] = w.links
  l.on.open()
  l.on.message(1, { type: 'reset', pos: 'e-0' })
  l.on.message(1, { type: 'synced', pos: 'e-1' })
  l.on.message(1, put(2, false))
  await came(got, 2)
  assert.deepEqual(got.map(m => m.type), ['reset', 'synced'])
  l.on.message(1, put(2, true, 'b'))
  await came(got, 4)
  assert.deepEqual(got.slice(2).map(m => [m.key, m.rev]), [['a', 2], ['b', 2]])
  w.hub.close()
})

// If a cut lost or repeated something, nothing built on this would be right.
test('after a cut it goes on behind the last whole revision', async t => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  const w = world(), { got } = subscribe(w)
  w.links[0].on.open()
  for (const m of [{ type: 'reset', pos: 'e-0' }, { type: 'synced', pos: 'e-1' }, put(2, true), put(3, false)]) w.links[0].on.message(1, m)
  w.links[0].on.ended({ opened: true, error: new Error('cut') })
  assert.equal(w.hub.state.phase, 'waiting')
  w.links[0].on.message(1, put(3, true)) // a late word of the dead link
  t.mock.timers.tick(20_000)
  assert.equal(w.links.length, 2)
  w.links[1].on.open()
  assert.deepEqual(w.links[1].subs, [{ n: 1, query: { keys: ['a'] }, since: 'e-2' }])
  for (const m of [put(3, false), put(3, true, 'b'), { type: 'synced', pos: 'e-3' }, put(4, true)]) w.links[1].on.message(1, m)
  t.mock.timers.reset()
  await came(got, 7)
  assert.deepEqual(got.map(m => m.pos ?? `${m.key}${m.rev}`), ['e-0', 'e-1', 'e-2', 'a3', 'e-3', 'e-3', 'e-4'])
  w.hub.close()
})

// If a bookmark moved a watch that is not synced, a state would be cut short.
test('bookmarks move synced watches only', async () => {
  const w = world(), one = subscribe(w, 1), two = subscribe(w, 2)
  const [l] = w.links
  l.on.open()
  for (const n of [1, 2]) l.on.message(n, { type: 'reset', pos: 'e-0' })
  l.on.message(1, { type: 'synced', pos: 'e-5' })
  l.on.bookmark('e-9')
  await came(one.got, 3)
  await came(two.got, 1)
  assert.equal(one.got.at(-1).pos, 'e-9')
  assert.equal(two.got.at(-1).pos, 'e-0')
  w.hub.close()
})

// If a link that breaks at once were tried again at once, an ailing server would
// be finished off.
test('only a link that lasted has earned a short delay', t => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  t.mock.method(Math, 'random', () => 1)
  const w = world()
  subscribe(w)
  const delays = []
  const round = lived => {
    const l = w.links.at(-1)
    l.on.open()
    l.on.message(1, { type: 'reset', pos: 'e-0' })
    t.mock.timers.tick(lived)
    l.on.ended({ opened: true, error: new Error('cut') })
    delays.push(w.hub.state.until - Date.now())
    t.mock.timers.tick(delays.at(-1))
  }
  for (const lived of [0, 0, 0, 11_000, 0]) round(lived)
  assert.deepEqual(delays, [500, 1000, 2000, 500, 1000])
  w.hub.close()
})

// If a server's retry were not kept, it would be stormed while it starts.
test('bye says when to come back', t => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  const w = world()
  subscribe(w)
  w.links[0].on.open()
  w.links[0].on.ended({ opened: true, error: new Error('bye'), retry: 2500 })
  t.mock.timers.tick(2499)
  assert.equal(w.links.length, 1)
  t.mock.timers.tick(1)
  assert.equal(w.links.length, 2)
  w.hub.close()
})

// If waking did nothing, a laptop that is opened would show old values for 20 s.
test('wake does not wait', t => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  const w = world()
  subscribe(w)
  w.links[0].on.ended({ opened: false, error: new Error('offline'), retry: 20_000 })
  w.hub.wake()
  assert.equal(w.links.length, 2)
  w.hub.close()
})

// If a client that was refused for good tried again, or stayed silent, nobody would know why.
test('what is final ends the watches', () => {
  const w = world(), { failed } = subscribe(w)
  w.links[0].on.open()
  w.links[0].on.ended({ opened: true, error: new Error('no'), final: true })
  assert.equal(failed.length, 1)
  assert.equal(w.hub.state.phase, 'closed')
  assert.equal(w.links.length, 1)
})

// If one bad watch took the link with it, one typing error would stop a whole page.
test('a refused watch fails alone, a busy server is asked again', t => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  const w = world(), bad = subscribe(w, 1), busy = subscribe(w, 2)
  const [l] = w.links
  l.on.open()
  l.on.refused(1, Object.assign(new Error('bad'), { code: 'bad_key' }))
  l.on.refused(2, Object.assign(new Error('busy'), { code: 'too_many_watches' }), 1000)
  assert.equal(bad.failed.length, 1)
  assert.equal(busy.failed.length, 0)
  t.mock.timers.tick(1000)
  assert.equal(l.subs.length, 3)
  assert.equal(w.hub.state.phase, 'open')
  w.hub.close()
})

// If WebSockets that cannot pass stopped everything, a proxy would do so.
test('event streams take over where sockets do not open', () => {
  const w = world({ transport: 'auto' })
  subscribe(w)
  assert.equal(w.links[0].socket, true)
  w.links[0].on.ended({ opened: false, error: new Error('refused') })
  assert.equal(w.links[1].socket, false)
  w.links[1].on.open()
  assert.equal(w.hub.state.transport, 'sse')
  w.hub.close()
})

// If event streams stayed once a WebSocket can pass again, a page opened behind
// a bad proxy would keep its worse way all day; if changing over lost the place,
// it would miss what happened meanwhile.
test('a WebSocket takes over as soon as one opens, behind the last revision', async t => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 1e12 })
  const w = world({ transport: 'auto' }), { got } = subscribe(w)
  w.links[0].on.ended({ opened: false, error: new Error('refused') })
  const stream = w.links[1]
  stream.on.open()
  for (const m of [{ type: 'reset', pos: 'e-0' }, { type: 'synced', pos: 'e-1' }, put(2, true)]) stream.on.message(1, m)
  t.mock.timers.tick(61_000)
  const probe = w.links[2]
  assert.equal(probe.socket, true)
  assert.equal(stream.closed, false) // the stream goes on until a socket is open
  probe.on.open()
  const socket = w.links[3]
  socket.on.open()
  assert.deepEqual([socket.socket, stream.closed, probe.closed, w.hub.state.transport], [true, true, true, 'websocket'])
  assert.deepEqual(socket.subs, [{ n: 1, query: { keys: ['a'] }, since: 'e-2' }])
  t.mock.timers.reset()
  await came(got, 3)
  w.hub.close()
})
