// What there is to know about a key beside its value.

import { h, set, bytes, clock, sizeOf } from './dom.js'
import { describe } from './value.js'

/** whole is a number with all its digits. */
export const whole = n => n.toLocaleString('en')

const UNKNOWN = '–'

/** lines are the facts that follow from an entry: name, what it says, what that means, and whether it is long. */
const lines = [
  ['Version', e => whole(e.version), '1 when the key was created, one more with each change'],
  ['Revision', e => whole(e.rev), 'The revision of the store at the last change'],
  ['Created at revision', e => whole(e.create_rev), 'The revision of the store when the key was created'],
  ['Size', e => bytes(sizeOf(e.value))],
  ['Content', e => describe(e.value), undefined, true],
  ['Tier', e => e.tier ?? UNKNOWN, 'Where the value was when it was last read'],
  // A watch does not tell the lease: a key has none only where a read said so.
  ['Lease', e => e.lease ?? (e.tier ? 'none' : UNKNOWN), undefined, true],
]

export class Facts {
  #entry = null; #lifetime = 0
  #values = lines.map(() => h('dd'))
  #ttl = h('span'); #bar = h('progress', { max: 1, hidden: true, 'aria-label': 'Time to live' })
  #life = h('div', {}, h('dt', {}, 'Time to live'), h('dd', {}, this.#ttl, this.#bar))
  #all = lines.map(([name, , title, wide], i) => h('div', { title, class: wide && 'wide' }, h('dt', {}, name), this.#values[i]))
  el = h('dl', { class: 'facts' }, this.#all.slice(0, -1), this.#life, this.#all.at(-1))

  /** follow takes what a watch told of the key, so that the bar of its time to live is full when that begins. */
  follow(e, before) {
    this.#lifetime = e?.expires ? Math.max(e.ttl_ms, e.version === before?.version ? this.#lifetime : 0) : 0
  }

  /** draw shows an entry, null where there is no key. */
  draw(e) {
    this.#entry = e
    lines.forEach(([, say], i) => set(this.#values[i], e ? say(e) : UNKNOWN))
    this.#life.className = e?.expires ? 'long' : ''
    this.#bar.hidden = !e?.expires
    if (!e?.expires) set(this.#ttl, e ? 'none' : UNKNOWN)
  }

  /** tick has the time run down. */
  tick(now) {
    if (!this.#entry?.expires) return
    const left = Math.max(0, this.#entry.expires - now)
    set(this.#ttl, clock(left))
    this.#bar.value = this.#lifetime ? left / this.#lifetime : 1
  }
}
