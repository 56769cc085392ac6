// The server's figures, asked for every two seconds while the page is visible.

import { h, set, bytes, count, plural, span } from './dom.js'
import { headers, offer } from './person.js'
import { Samples, draw } from './spark.js'

/** STALE says why figures are not those of now. */
export const STALE = 'The server did not answer when it was last asked.'
const EVERY = 2000
const KEPT = 60

/** parse reads the text of /metrics: name and labels to number, ours only. */
export function parse(body) {
  const found = new Map()
  for (const line of body.split('\n')) {
    if (!line.startsWith('keywatch_')) continue
    const cut = line.lastIndexOf(' ')
    const name = line.slice(0, line.indexOf('{') < 0 ? cut : line.indexOf('{'))
    const value = Number(line.slice(cut + 1))
    found.set(name, (found.get(name) ?? 0) + value)
    if (name !== line.slice(0, cut)) found.set(line.slice(0, cut), value)
  }
  return found
}

const rate = name => (now, before, seconds) => seconds > 0 && now.has(name) && before?.has(name) ? Math.max(0, now.get(name) - before.get(name)) / seconds : undefined
const gauge = name => now => now.get(name)
const each = n => `${count(n)}/s`

/** tiles are what is shown: name, how it is read, how it is written, and a hint from the rest. */
const tiles = [
  ['Writes', rate('keywatch_log_commands_total'), each, (now, status, before, seconds) => {
    const changes = rate('keywatch_watch_published_total')(now, before, seconds)
    return changes === undefined ? '' : `${count(changes)} changes/s`
  }],
  ['Requests', rate('keywatch_http_requests_total'), each, now => plural(now.get('keywatch_http_connections') ?? 0, 'connection')],
  ['Events sent', rate('keywatch_watch_delivered_total'), each, now => `slowest ${count(now.get('keywatch_watch_lag_events_max') ?? 0)} behind`],
  ['Watchers', gauge('keywatch_watchers'), count, now => `${plural(now.get('keywatch_sockets') ?? 0, 'socket')}, ${plural(now.get('keywatch_streams') ?? 0, 'stream')}`],
  ['Keys', gauge('keywatch_keys'), count, now => bytes(now.get('keywatch_bytes') ?? 0)],
  ['Log', gauge('keywatch_log_bytes'), bytes, (now, status) => logNote(status)],
  ['Checkpoint due', gauge('keywatch_checkpoint_dirty_bytes'), bytes, (now, status) => lastCheckpoint(status)],
  ['Memory', gauge('keywatch_memory_used_bytes'), bytes, now => now.get('keywatch_memory_max_bytes') ? `of ${bytes(now.get('keywatch_memory_max_bytes'))}` : ''],
  ...[['disk', 'On disk only'], ['object', 'Object storage']].map(([tier, name]) => [name, gauge(`keywatch_tier_bytes{tier="${tier}"}`), bytes, now => plural(now.get(`keywatch_tier_keys{tier="${tier}"}`) ?? 0, 'key')]),
  ['Locks', gauge('keywatch_locks'), count, now => `${count(now.get('keywatch_lock_waiters') ?? 0)} waiting`],
  ['Leases', gauge('keywatch_leases'), count, now => `${count(now.get('keywatch_leases_expired_total') ?? 0)} expired`],
]

/** logNote says how the log is; that the disk is full counts more than how quick it is. */
export function logNote({ durability, detail }) {
  const log = detail?.log
  return !log ? durability : log.no_room ? 'disk full: no writes' : `fsync ${(log.fsync_mean_us / 1000).toFixed(2)} ms`
}

function lastCheckpoint(status) {
  const c = status.detail?.checkpoint
  return !c ? '' : c.age_ms < 0 ? 'none yet' : `last ${span(c.age_ms)} ago`
}

class Tile {
  #read; #write; #hint; #samples = new Samples(KEPT)
  #value = h('strong', {}, '–'); #note = h('small'); #canvas = h('canvas', { class: 'trend', 'aria-hidden': 'true' })

  constructor([name, read, write, hint]) {
    this.#read = read
    this.#write = write
    this.#hint = hint
    this.el = h('div', { class: 'tile' }, h('span', { class: 'label' }, name), this.#note, this.#value, this.#canvas)
  }

  take(now, before, seconds, status) {
    const value = this.#read(now, before, seconds)
    if (value === undefined) return
    this.#samples.push(value)
    set(this.#value, this.#write(value))
    const note = this.#hint(now, status, before, seconds)
    set(this.#note, note)
    this.el.title = note
    draw(this.#canvas, this.#samples, true)
  }

  redraw() { draw(this.#canvas, this.#samples, true) }
}

export class Figures {
  status = null
  #box; #url; #tiles = tiles.map(t => new Tile(t)); #before = null; #at = 0; #timer; #seen

  /** seen is called with each /v1/status, and with null where there is none. */
  constructor(url, box, seen) {
    this.#url = url
    this.#box = box
    this.#seen = seen
    box.append(...this.#tiles.map(t => t.el))
    document.addEventListener('visibilitychange', () => this.#next(0))
    this.#next(0)
  }

  show(visible) {
    this.#box.hidden = !visible
    if (visible) this.#tiles.forEach(t => t.redraw())
  }

  redraw() { this.#tiles.forEach(t => t.redraw()) }

  #next(delay) {
    clearTimeout(this.#timer)
    if (document.visibilityState !== 'hidden') this.#timer = setTimeout(() => this.#ask(), delay)
  }

  async #ask() {
    try {
      const [status, metrics] = await Promise.all([fetch(`${this.#url}/v1/status`, { headers }), fetch(`${this.#url}/metrics`, { headers })])
      const ok = status.ok && metrics.ok
      if (status.status === 401) offer()
      if (ok) this.#take(await status.json(), parse(await metrics.text()))
      this.#stale(!ok)
    } catch {
      this.#before = null
      this.#stale(true)
    }
    this.#next(EVERY)
  }

  /** stale marks figures that are not those of now. */
  #stale(is) {
    this.#box.classList.toggle('stale', is)
    this.#box.title = is ? STALE : ''
    if (is) this.#seen(null)
  }

  #take(status, now) {
    const at = performance.now()
    this.status = status
    for (const tile of this.#tiles) tile.take(now, this.#before, (at - this.#at) / 1000, status)
    this.#before = now
    this.#at = at
    this.#seen(status)
  }
}
