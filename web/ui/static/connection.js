// The state of the connection, in the header, and since when the page is out of date.

import { $, h, set, span } from './dom.js'
import { timeOf } from './changes.js'
import { notice } from './notice.js'

const LOST = 1500 // ms without a connection before the page says so
const MEASURE = 3000 // ms between round trips

const transports = { websocket: 'WebSocket', sse: 'event stream' }
const shared = { leader: ', which other tabs share', follower: ', shared with another tab' }

export class Connection {
  #kw; #list; #narrow; #roundTrip = 0; #leftAt = 0; #lostAt = 0; #before = ''

  /** list returns {pausedAt, stopped}: since when the list is paused, 0 if it is not, and whether it has ended. */
  constructor(kw, narrow, list) {
    this.#kw = kw
    this.#narrow = narrow
    this.#list = list
    kw.addEventListener('state', () => { this.draw(); if (!this.#roundTrip) this.#measure() })
    setInterval(() => this.#measure(), MEASURE)
  }

  draw() {
    const { phase, transport, role, until, error } = this.#kw.state
    const { pausedAt, stopped } = this.#list()
    const look = phase === 'open' && stopped ? 'closed' : phase === 'open' && pausedAt ? 'paused' : phase
    $('connection').className = `connection ${look}`
    this.#say(...{
      open: () => ['Live', this.#lag(), `Connected by ${transports[transport] ?? transport}${shared[role] ?? ''}. The time is one round trip.`],
      paused: () => ['Paused', ` · ${span(Date.now() - pausedAt)}`, 'The list does not change until you resume it.'],
      waiting: () => ['Offline', ` · ${this.#narrow.matches ? '' : 'again in '}${Math.max(0, Math.ceil((until - Date.now()) / 1000))} s`, error?.message ?? ''],
      closed: () => stopped ? ['Stopped', '', 'The list is not updated.'] : [`Closed: ${error?.code ?? ''}`, '', ''],
    }[look]?.() ?? ['Connecting …', '', ''])
    this.#lost(phase)
  }

  #say(what, lag, title) {
    set($('phase'), what)
    set($('lag'), lag)
    $('connection').title = title
  }

  #lag() {
    const ms = this.#roundTrip
    return ms ? ` · ${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms` : ''
  }

  /** lost says since when the page is out of date, once that is more than a moment. */
  #lost(phase) {
    const now = Date.now()
    if (phase === 'open') {
      if (this.#lostAt) notice('lost', '')
      this.#lostAt = 0
    } else if (this.#before === 'open') this.#leftAt = now
    else if (phase !== 'closed' && this.#leftAt && now - this.#leftAt > LOST) {
      this.#lostAt = this.#leftAt
      notice('lost', `Connection lost at ${timeOf(this.#lostAt).slice(0, 8)}. The values shown may be out of date.`, h('button', { id: 'again', onclick: () => this.#kw.wake() }, 'Try now'))
    }
    this.#before = phase
  }

  async #measure() {
    if (this.#kw.state.phase !== 'open' || document.visibilityState === 'hidden') return
    this.#roundTrip = await this.#kw.ping().catch(() => 0)
    this.draw()
  }
}
