// The list of what happened to one key. What is new is put on top; the rest stays as it is.

import { h } from './dom.js'

const MAX = 50

/** timeOf is the local time of day to a tenth of a second. */
export const timeOf = when => `${new Date(when).toTimeString().slice(0, 8)}.${Math.floor(when % 1000 / 100)}`

export class Changes {
  el = h('ol', { class: 'changes' })
  length = 0
  #waiting; #last = 0

  /** past are the changes that are known already, the newest first. */
  constructor(past) {
    this.#waiting = past.slice(0, MAX).reverse()
    this.#last = past[0]?.rev ?? 0
    this.draw()
  }

  /** add takes a change; those known already are not taken twice. */
  add(c) {
    if (c.rev <= this.#last) return
    this.#last = c.rev
    this.#waiting.push(c)
    if (this.#waiting.length > MAX) this.#waiting.shift()
  }

  draw() {
    if (!this.#waiting.length && this.length) return
    if (!this.#waiting.length) return this.el.replaceChildren(h('li', { class: 'none' }, 'None since this page was opened.'))
    if (!this.length) this.el.replaceChildren()
    this.el.prepend(...this.#waiting.splice(0).reverse().map(line))
    while (this.el.childElementCount > MAX) this.el.lastChild.remove()
    this.length = this.el.childElementCount
  }
}

const line = c => h('li', {},
  h('span', { class: 'when', title: new Date(c.when).toLocaleString() }, timeOf(c.when)),
  h('span', { class: c.type === 'put' ? 'version' : 'version gone' }, c.type === 'put' ? `v${c.version}` : c.cause),
  h('span', { class: 'value', title: c.value }, c.value))
