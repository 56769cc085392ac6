import { test } from 'node:test'
import assert from 'node:assert/strict'
import { Keywatch } from './keywatch.mjs'

/** until waits for a condition. */
async function until(what, holds) {
  for (const end = performance.now() + 10_000; !holds();) {
    assert.ok(performance.now() < end, what)
    await new Promise(resolve => setTimeout(resolve, 1))
  }
}

/** sockets replaces WebSocket by ones that are told by hand what comes. */
function sockets(t) {
  const all = []
  t.after(() => { globalThis.WebSocket = real })
  const real = globalThis.WebSocket
  globalThis.WebSocket = class {
    static OPEN = 1
    readyState = 0
    sent = []
    constructor(url) {
      this.url = url
      all.push(this)
    }
    send(text) { this.sent.push(JSON.parse(text)) }
    close() { this.readyState = 3 }
    open() { this.readyState = 1; this.onopen() }
    say(o) { this.onmessage({ data: JSON.stringify(o) }) }
    end(code, reason = '') { this.readyState = 3; this.onclose({ code, reason }) }
    last() { return this.sent.at(-1) }
    /** proves answers what says who the page is, and returns its token. */
    async proves(error) {
      const before = this.answered ?? 0
      await until('a credential is sent', () => this.sent.filter(f => f.op === 'auth').length > before)
      this.answered = before + 1
      const { id, token } = this.sent.filter(f => f.op === 'auth').at(-1)
      this.say(error ? { id, error } : { id, ok: true, user: 'ann' })
      return token
    }
  }
  return all
}

const unauthenticated = { status: 401, code: 'unauthenticated' }

function page(options) {
  let n = 0
  const kw = new Keywatch({ url: 'http://127.0.0.1:1', share: false, fixed: true, token: async () => `token-${++n}`, ...options })
  const got = [], failed = []
  const watch = () => kw.watch({ keys: ['a'] }, { event: m => got.push(m), error: err => failed.push(err) })
  return { kw, got, failed, watch, asked: () => n }
}

// If a socket was used before it said who the page is, all that it asks for would be refused.
test('a socket says first who the page is', async t => {
  const all = sockets(t), p = page()
  p.watch()
  all[0].open()
  assert.equal(await all[0].proves(), 'token-1')
  await until('it watches', () => all[0].last().op === 'watch')
  assert.deepEqual(all[0].sent.map(f => f.op), ['auth', 'watch'])
  assert.doesNotMatch(all[0].url, /token/)
  p.kw.close()
})

// If a socket were opened anew when a credential ends, everybody would come back at once.
test('a socket continues with another credential', async t => {
  const all = sockets(t), p = page()
  p.watch()
  all[0].open()
  await all[0].proves()
  all[0].say({ watch: 2, type: 'reset', pos: 'e-0' })
  all[0].say({ watch: 2, type: 'synced', pos: 'e-1' })
  all[0].say({ type: 'auth', expires_ms: 30000 })
  all[0].say({ type: 'denied', code: 'expired', grace_ms: 15000 }) // it is being asked for
  assert.equal(await all[0].proves(), 'token-2')
  all[0].say({ watch: 2, type: 'put', key: 'a', value: '1', rev: 2, pos: 'e-2' })
  await until('it is told on', () => p.got.length === 3)
  assert.equal(all.length, 1)
  assert.equal(p.asked(), 2)
  assert.deepEqual(p.failed, [])
  p.kw.close()
})

// If a refused token were sent again and again, or given up at once, pages would hang or die with every login.
test('a refused token is asked for once more', async t => {
  const all = sockets(t), p = page()
  p.watch()
  all[0].open()
  await all[0].proves(unauthenticated)
  assert.equal(await all[0].proves(unauthenticated), 'token-2')
  await until('the watch ends', () => p.failed.length === 1)
  assert.equal(p.failed[0].code, 'unauthenticated')
  assert.equal(p.kw.state.phase, 'closed')
  p.kw.close()
})

// If a page lost its place with its session, it would show what never was.
test('after a revocation it resumes with another credential', async t => {
  t.mock.method(Math, 'random', () => 0)
  const all = sockets(t), p = page()
  p.watch()
  all[0].open()
  await all[0].proves()
  all[0].say({ watch: 2, type: 'reset', pos: 'e-0' })
  all[0].say({ watch: 2, type: 'synced', pos: 'e-1' })
  all[0].say({ watch: 2, type: 'denied', code: 'revoked' })
  all[0].end(3501, 'revoked')
  await until('it reconnects', () => all.length === 2)
  all[1].open()
  assert.equal(await all[1].proves(unauthenticated), 'token-1')
  assert.equal(await all[1].proves(), 'token-2')
  await until('it watches', () => all[1].last().op === 'watch')
  assert.equal(all[1].last().since, 'e-1')
  assert.deepEqual(p.failed, [])
  p.kw.close()
})

// If a page went on without the right, it would ask for ever what it may not have.
test('what may not be watched any more ends', async t => {
  const all = sockets(t), p = page()
  p.watch()
  all[0].open()
  await all[0].proves()
  all[0].say({ watch: 2, type: 'denied', code: 'narrowed' })
  await until('the watch ends', () => p.failed.length === 1)
  assert.equal(p.failed[0].code, 'denied')
  assert.equal(p.kw.state.phase, 'open')
  p.kw.close()
})

// A text cannot be asked for again: it must end what it proved, and not be tried for ever.
test('a token that is a text ends with its watches', async t => {
  const all = sockets(t), p = page({ token: 'fixed' })
  p.watch()
  all[0].open()
  assert.equal(await all[0].proves(), 'fixed')
  all[0].end(3501, 'expired')
  await until('the watch ends', () => p.failed.length === 1)
  assert.equal(p.failed[0].code, 'denied')
  assert.equal(all.length, 1)
  p.kw.close()
})

// If each of many requests asked for a token of its own, whoever gives them would be flooded.
test('requests carry the token, and ask for another one together', async () => {
  let n = 0, asked = 0
  const requests = []
  const fetch = async (url, init) => {
    requests.push(init.headers)
    const good = init.headers.Authorization === 'Bearer token-2'
    await new Promise(resolve => setTimeout(resolve, 1))
    return new Response(JSON.stringify(good ? { key: 'a', value: '1', rev: 1 } : unauthenticated), { status: good ? 200 : 401 })
  }
  const kw = new Keywatch({ url: 'http://127.0.0.1:1', share: false, fixed: true, transport: 'sse', fetch, token: () => { asked++; return `token-${++n}` } })
  const all = await Promise.all([kw.get('a'), kw.get('b'), kw.put('c', '1')])
  assert.equal(all.length, 3)
  assert.equal(asked, 2)
  const keys = new Set(requests.map(h => h['Idempotency-Key']).filter(Boolean))
  assert.equal(keys.size, 1)
  kw.close()
  const text = new Keywatch({ url: 'http://127.0.0.1:1', share: false, fixed: true, fetch, token: 'wrong' })
  await assert.rejects(text.get('a'), { code: 'unauthenticated', status: 401 })
  text.close()
})
