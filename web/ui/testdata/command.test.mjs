import { test } from 'node:test'
import assert from 'node:assert/strict'
import { Keywatch, KeywatchError } from './keywatch.mjs'

/** A server is a fetch that gives the answers in order and keeps the requests. */
function server(...answers) {
  const requests = []
  const fetch = async (url, init) => {
    requests.push({ url: String(url), ...init })
    const answer = answers.shift()
    if (answer instanceof Error) throw answer
    return new Response(answer.body === undefined ? null : JSON.stringify(answer.body), { status: answer.status ?? 200, headers: answer.headers })
  }
  return { requests, kw: new Keywatch({ url: 'http://127.0.0.1:1', fetch, share: false, fixed: true }) }
}

const ok = body => ({ body })
const problem = (status, code, more = {}) => ({ status, body: { code, ...more }, headers: { 'Retry-After': '0' } })

// If a retry had another key, a write whose answer was lost would happen twice.
test('a write is tried again under the same idempotency key', async () => {
  const { kw, requests } = server(new TypeError('cut'), problem(504, 'outcome_unknown'), problem(503, 'queue_full'), ok({ rev: 7, version: 1, created: true }))
  assert.deepEqual(await kw.put('a', 'x'), { ok: true, rev: 7, version: 1, created: true, etag: undefined })
  const keys = new Set(requests.map(r => r.headers['Idempotency-Key']))
  assert.equal(requests.length, 4)
  assert.equal(keys.size, 1)
  assert.match([...keys][0], /^[!-~]{16,128}$/)
  kw.close()
})

// If an unsafe write were repeated, saying so would be no use.
test('without a key what is perhaps applied is not repeated', async () => {
  const { kw, requests } = server(problem(429, 'rate_limited'), problem(504, 'outcome_unknown'), ok({}))
  await assert.rejects(kw.put('a', 'x', { idempotencyKey: false }), { code: 'outcome_unknown', status: 504 })
  assert.equal(requests.length, 2)
  kw.close()
})

// If a mistake were repeated, it would only be slower.
test('a refusal is an error at once', async () => {
  const { kw, requests } = server(problem(400, 'bad_duration', { detail: 'soon?' }))
  await assert.rejects(kw.put('a', 'x', { ttl: 'soon' }), e => e instanceof KeywatchError && e.code === 'bad_duration' && e.message.includes('soon?'))
  assert.equal(requests.length, 1)
  kw.close()
})

// If a compare that failed were an exception, the winner's value would be hard to come by.
test('a failed compare is an answer', async () => {
  const current = { key: 'a', value: 'AAH/', encoding: 'base64', rev: 5, version: 2 }
  const { kw } = server(problem(412, 'compare_failed', { current }), problem(404, 'key_not_found'))
  const lost = await kw.put('a', 'x', { ifMatch: '"e-1"' })
  assert.equal(lost.ok, false)
  assert.equal(lost.code, 'compare_failed')
  assert.deepEqual(lost.current.value, new Uint8Array([0, 1, 255]))
  assert.equal(await kw.get('a'), null)
  kw.close()
})

// A browser resolves dots before it sends: the write would go to another key.
test('keys that a browser would change are refused here', async () => {
  const { kw, requests } = server()
  for (const key of ['', '.', '..', 'a/../b', 'a//b', '/a', 'a/', 'a/.', 7, '\ud800']) {
    await assert.rejects(async () => kw.get(key), { code: 'bad_key' }, JSON.stringify(key))
  }
  assert.equal(requests.length, 0)
  kw.close()
})

// If conditions did not reach the wire as the server reads them, they would not hold.
test('what is asked is what is sent', async () => {
  const { kw, requests } = server(ok({}), ok({}), ok({ committed: true, results: [{ rev: 3, version: 1, created: true }] }), ok({ swapped: true }))
  await kw.put('a/b c?', new Uint8Array([1]), { ifAbsent: true, ttl: 1500, fence: { deploy: 3 } })
  await kw.delete('x', { ifMatch: '"e-9"' })
  const put = await kw.put('r', new Uint8Array([255]), { ifRev: 0, ttl: '1s' })
  await kw.cas('c', null, new Uint8Array([255]))
  const [first, second, third, fourth] = requests
  assert.equal(first.url, 'http://127.0.0.1:1/v1/kv/a%2Fb%20c%3F?ttl=1500ms')
  assert.equal(first.headers['If-None-Match'], '*')
  assert.equal(first.headers['If-Fence'], 'deploy=3')
  assert.equal(second.method, 'DELETE')
  assert.equal(second.headers['If-Match'], '"e-9"')
  assert.deepEqual(JSON.parse(third.body), { checks: [{ key: 'r', rev: 0 }], ops: [{ op: 'put', key: 'r', value: '/w==', encoding: 'base64', ttl: '1s' }] })
  assert.equal(put.rev, 3)
  assert.deepEqual(JSON.parse(fourth.body), { expected: null, new: '/w==', encoding: 'base64' })
  kw.close()
})

// If the path of a server were dropped, a page could not reach one that a proxy has below a path.
test('a server below a path', async () => {
  for (const [url, base] of [['https://a.example/kw/', 'https://a.example/kw'], ['https://a.example/k/w', 'https://a.example/k/w'], ['http://a.example:7070', 'http://a.example:7070'], ['http://a.example/', 'http://a.example']]) {
    const asked = []
    const kw = new Keywatch({ url, share: false, fixed: true, fetch: async address => { asked.push(String(address)); return new Response(JSON.stringify({ rev: 1, version: 1, created: true })) } })
    await kw.put('a/b', 'x')
    assert.deepEqual([kw.url, asked.at(-1)], [base, `${base}/v1/kv/a%2Fb`])
    kw.close()
  }
})

// If what is no value were written as something, a mistake would replace a value by an
// empty one or by "[object Object]".
test('what is neither text nor bytes is not written', async () => {
  const { kw, requests } = server()
  const no = [undefined, null, 5, {}, [1], true, '\ud800'], refused = { code: 'bad_value' }
  for (const value of no) {
    await assert.rejects(kw.put('a', value), refused)
    await assert.rejects(kw.put('a', value, { ifRev: 1 }), refused)
    if (value !== null) await assert.rejects(kw.cas('a', 'x', value), refused)
    if (value !== null) await assert.rejects(kw.cas('a', value, new Uint8Array(1)), refused)
    if (value !== undefined) await assert.rejects(kw.batch({ ops: [{ op: 'put', key: 'a', value }] }), refused)
  }
  assert.equal(requests.length, 0)
  kw.close()
})

test('bytes are bytes in every view', async () => {
  const { kw, requests } = server(ok({}), ok({}), ok({}), ok({ results: [] }))
  const bytes = new Uint8Array([9, 1, 255, 9])
  await kw.put('a', bytes.buffer)
  await kw.put('a', bytes.subarray(1, 3))
  await kw.put('a', new DataView(bytes.buffer, 1, 2))
  await kw.batch({ ops: [{ op: 'put', key: 'a', value: new DataView(bytes.buffer, 1, 2) }] })
  assert.deepEqual(requests.slice(0, 3).map(r => [...r.body]), [[9, 1, 255, 9], [1, 255], [1, 255]])
  assert.deepEqual(JSON.parse(requests[3].body).ops[0], { op: 'put', key: 'a', value: 'Af8=', encoding: 'base64' })
  kw.close()
})

/** A cluster is a fetch over servers by origin: each answers with what its function returns, or is cut. */
function cluster(servers, url) {
  const requests = []
  const fetch = async (address, init) => {
    const { origin, pathname } = new URL(address)
    requests.push({ origin, pathname, ...init })
    const answer = servers[origin]?.(pathname)
    if (!answer) throw new TypeError('cut')
    return new Response(JSON.stringify(answer.body), { status: answer.status ?? 200 })
  }
  return { requests, kw: new Keywatch({ url, fetch, share: false }) }
}

const members = (id, ...urls) => ok({ cluster: id, members: urls.map(url => ({ url })) })
const written = ok({ rev: 7, version: 1, created: true })

// If this failed, a page would fail with the one server that it was told of, or write to another cluster.
test('members are learned, and asked while one fails', async () => {
  let up = true
  const all = ['', 'http://c:1', 'http://b:1', 'http://a:1']
  const servers = {
    'http://a:1': path => up ? path === '/v1/cluster' ? members('one', ...all) : written : problem(503, 'no_leader'),
    'http://b:1': path => path === '/v1/cluster' ? members('one', ...all) : written,
    'http://c:1': path => path === '/v1/cluster' ? members('another') : written,
  }
  const { kw, requests } = cluster(servers, 'http://a:1')
  await kw.put('k', '1')
  while (requests.length < 4) await new Promise(resolve => setTimeout(resolve, 1))
  up = false
  requests.length = 0
  await kw.put('k', '2')
  assert.deepEqual(requests.map(r => r.origin), ['http://a:1', 'http://b:1'])
  assert.equal(requests[0].headers['Idempotency-Key'], requests[1].headers['Idempotency-Key'])
  assert.equal(kw.url, 'http://b:1')
  kw.close()
})

// If this failed, a list of addresses would be no better than its first.
test('the next address is asked at once', async () => {
  const { kw, requests } = cluster({ 'http://b:1': path => path === '/v1/cluster' ? problem(404, 'no_route') : written }, ['http://a:1', 'http://b:1'])
  await kw.put('k', '1')
  assert.deepEqual(requests.slice(0, 2).map(r => r.origin), ['http://a:1', 'http://b:1'])
  kw.close()
})

// If this failed, a page would ask a server that stops, or one that stops too, before the one that it was sent to.
test('a server that leaves names the one to use', async () => {
  const watched = []
  let left
  const done = new Promise(resolve => { left = resolve })
  const fetch = async address => {
    const { origin, pathname } = new URL(address)
    if (pathname !== '/v1/watch') return new Response('{}')
    watched.push(origin)
    if (watched.length > 1) left()
    const bye = { type: 'bye', code: 'stopping', retry_ms: 1, endpoints: ['nonsense', 'http://d:1', 'http://c:1', 'http://b:1'] }
    return new Response(origin === 'http://a:1' ? `event: bye\ndata: ${JSON.stringify(bye)}\n\n` : new ReadableStream())
  }
  const kw = new Keywatch({ url: ['http://a:1', 'http://b:1', 'http://c:1'], fetch, headers: { A: '1' } })
  kw.watch({ keys: ['k'] }, {})
  await done
  assert.deepEqual(watched, ['http://a:1', 'http://c:1'])
  assert.equal(kw.url, 'http://c:1')
  kw.close()
})
