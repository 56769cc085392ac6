// keywatch.js: the browser's client of keywatch. One file, no dependencies; the
// types and the meaning of everything exported are in keywatch.d.ts.
//
// How it is made, from the wire inwards:
//
//   SocketLink, StreamLink   one connection: a WebSocket, or one event stream a watch
//   Hub                      keeps a link up, resumes every subscription on it
//   Tabs                     one tab of an origin runs the Hub, the others relay to it
//   Watch, Mirror            what a page holds
//   Credential               what proves who the page is
//   Places                   the servers of the cluster: one is used until it fails
//   Keywatch                 what a page imports: watches, and commands by fetch
//
// A subscription's position lives in the tab that made it. A Hub passes on whole
// revisions only, so whatever dies, a link, a leading tab or the server, the
// next one continues from that position without a gap and without an event twice.

/** Times in milliseconds, and limits. */
const FIRST_DELAY = 500, MAX_DELAY = 20_000
const STABLE = 10_000 // after a link that lived this long the delay is short again
const SILENCE = 25_000, ANSWER_TIMEOUT = 10_000, WAKE_TIMEOUT = 3_000
const LEADER_SILENCE = 20_000, LEADER_TIMEOUT = 5_000
const RETRY_SOCKET = 60_000 // on event streams, how often a WebSocket is tried again
const QUEUE_MAX = 10_000 // events an iterator may be behind before its watch pauses
const TRIES = 5 // of one command

/** An error with the code that the server gave it, or `network`. */
export class KeywatchError extends Error {
  constructor(code, detail, more = {}) {
    super(detail ? `${code}: ${detail}` : code)
    this.name = 'KeywatchError'
    this.code = code
    this.status = 0
    Object.assign(this, more)
  }
}

/** Codes of a refused watch that is tried again. */
const TRANSIENT = new Set(['rate_limited', 'too_many_watches', 'too_many_connections', 'queue_full',
  'no_leader', 'starting', 'stopping', 'memory_full', 'client_memory_full',
  'caller_memory_full', 'disk_full', 'tier_unavailable', 'internal', 'outcome_unknown'])

/** Full jitter: anything up to 0.5 s, doubled with each try, at most 20 s. */
export function backoff(tries, random = Math.random) {
  return random() * Math.min(MAX_DELAY, FIRST_DELAY * 2 ** Math.min(tries, 10))
}

/** Whether to reconnect a closed WebSocket. */
export const reconnects = code => code < 3500 || code > 3999

const sleep = (ms, signal) => new Promise((resolve, reject) => {
  const stop = () => { clearTimeout(timer); reject(signal.reason) }
  const timer = setTimeout(() => { signal?.removeEventListener('abort', stop); resolve() }, ms)
  if (signal?.aborted) stop()
  else signal?.addEventListener('abort', stop, { once: true })
})

// randomUUID exists in secure contexts only.
const randomID = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), b => b.toString(16).padStart(2, '0')).join('')

const report = err => (globalThis.reportError ?? console.error)(err)

/** soon runs fn after the messages that are already here; timers would be late in hidden tabs. */
const soon = (() => {
  const { port1, port2 } = new MessageChannel()
  const queue = []
  port1.onmessage = () => { for (const fn of queue.splice(0)) fn() }
  port1.unref?.() // let a command line end
  return fn => { queue.push(fn); port2.postMessage(0) }
})()

const fromBase64 = text => Uint8Array.from(atob(text), c => c.charCodeAt(0))
const toBase64 = bytes => btoa(Array.from(bytes, b => String.fromCharCode(b)).join(''))
const isText = value => typeof value === 'string'
const isWellFormed = text => text.isWellFormed?.() ?? !/\p{Surrogate}/u.test(text)

/** valueOf refuses what is neither text nor bytes: it would be written as something else. */
function valueOf(value) {
  if (isText(value) && isWellFormed(value)) return value
  if (value instanceof ArrayBuffer) return new Uint8Array(value)
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  throw new KeywatchError('bad_value', 'a value is well-formed text, or bytes')
}

function toBytes(value) {
  const checked = valueOf(value)
  return isText(checked) ? new TextEncoder().encode(checked) : checked
}

/** decode turns an object of the wire into an entry: bytes, and a deadline on this clock. */
function decode(e) {
  if (e.encoding === 'base64') {
    e.value = fromBase64(e.value)
    delete e.encoding
  }
  if (e.ttl_ms) e.expires = Date.now() + e.ttl_ms
  return e
}

const encodeValue = value => isText(valueOf(value)) ? { value } : { value: toBase64(toBytes(value)), encoding: 'base64' }
