// How people use keywatch.js, for a compiler to read: what is right passes, and
// what is marked as an error is one.
import { Keywatch, KeywatchError, type Message, type Mirror, type State } from './keywatch.js'

const kw = new Keywatch({ url: 'https://example.test', transport: 'auto' })
new Keywatch({ token: async () => 'kws_1', user: 'ann' }).ticket({ keys: ['a'], ttl: '1h', reuse: true }).then(t => t.ticket.length + t.expires_ms)
// @ts-expect-error a token is a text, or a function
new Keywatch({ token: 1 })
kw.addEventListener('state', () => { const state: State = kw.state; state.phase === 'waiting' && kw.wake() })

async function commands(): Promise<number> {
  const entry = await kw.get('a')
  if (entry && typeof entry.value === 'string') entry.value.toUpperCase()
  const put = await kw.put('a', new Uint8Array([1]), { ttl: '30s', ifMatch: entry?.etag, fence: { deploy: 3 } })
  if (!put.ok) return put.current?.rev ?? 0
  const swapped = await kw.cas('a', null, 'x')
  if (!swapped.ok && swapped.code === 'compare_failed') throw new KeywatchError('mine', 'lost')
  const batch = await kw.batch({ checks: [{ key: 'a', exists: true }, { lock: 'deploy', token: 3 }], ops: [{ op: 'put', key: 'b', value: '1' }, { op: 'get', key: 'a' }] })
  if (batch.ok && batch.committed) await kw.delete('b', { idempotencyKey: false })
  for await (const e of kw.scan({ prefix: 'a/' })) e.key.length
  return put.version + await kw.ping()
}

async function watches(): Promise<void> {
  const watch = kw.watch({ prefixes: ['a/'], mode: 'latest', interval: 100 }, { put: e => e.value, delete: e => e.cause, error: err => err.code })
  watch.pause()
  for await (const m of kw.watch({ keys: ['a'] })) narrow(m)
  const mirror: Mirror = await kw.mirror({ prefix: '' }).ready
  for (const [key, e] of mirror) key.concat(String(e.version))
  mirror.onchange(step => step.changes.map(c => c.after?.value))()
}

function narrow(m: Message): string | undefined {
  switch (m.type) {
    case 'put': return m.key + m.version
    case 'delete': return m.cause
    default: return m.pos
  }
}

// @ts-expect-error: a key is text
kw.get(1)
// @ts-expect-error: there is no such mode
kw.watch({ keys: ['a'], mode: 'newest' })
// @ts-expect-error: an answer may be a refusal
kw.put('a', 'b').then(r => r.version)
// @ts-expect-error: an entry may be missing
kw.get('a').then(e => e.value)
// @ts-expect-error: the state is told, not set
kw.state = { phase: 'open' }

export { commands, watches }
