// The last changes of all keys, so that a key that is opened has a past.

import { preview } from './dom.js'

const KEPT = 20_000
const LENGTH = 120 // characters of a value

/** change is what is kept of an event: little enough to keep many. */
export const change = e => ({ key: e.key, type: e.type, version: e.version, cause: e.cause, when: Date.now(), rev: e.rev,
  value: e.type === 'put' ? preview(e.value, LENGTH) : '' })

export class Recent {
  #ring = []; #next = 0; #size

  constructor(size = KEPT) { this.#size = size }

  add(e) {
    this.#ring[this.#next] = change(e)
    this.#next = (this.#next + 1) % this.#size
  }

  /** of returns the changes of one key that are still known, the newest first. */
  of(key, most) {
    const found = []
    for (let i = 1; i <= this.#ring.length && found.length < most; i++) {
      const c = this.#ring[(this.#next - i + this.#ring.length) % this.#ring.length]
      if (c.key === key) found.push(c)
    }
    return found
  }
}
