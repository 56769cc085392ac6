// How long a key lives: an edit keeps its time to live and its lease unless a person
// chooses otherwise.

import { h } from './dom.js'

export class Lifetime {
  el = h('div', { class: 'options' })
  #entry; #changed; #ttl; #life; #lease

  /** entry is the version that is written over, null for none; changed is called when a choice was made. */
  constructor(entry, changed, choice) {
    this.#changed = changed
    this.follow(entry, choice)
  }

  /** follow offers what there is to choose for another version. A choice that was made stays. */
  follow(entry, choice = this.choice) {
    this.#entry = entry
    const ttl = entry?.ttl_ms ? [['keep', 'Keep the time to live'], ['none', 'Remove the time to live']] : [['keep', 'No time to live']]
    this.#ttl = this.#select('Time to live', [...ttl, ['set', 'Live for …']], choice?.ttl)
    this.#life = h('input', { type: 'text', size: 8, placeholder: '30s, 24h', 'aria-label': 'Live for, such as 30s or 24h', value: choice?.life ?? '', oninput: this.#changed })
    this.#lease = entry?.lease ? this.#select('Lease', [['keep', 'Keep the lease'], ['detach', 'Detach from the lease']], choice?.lease) : null
    if (this.#lease) this.#lease.title = `Attached to lease ${entry.lease}`
    this.#life.hidden = this.#ttl.value !== 'set'
    this.el.replaceChildren(...[this.#ttl, this.#life, this.#lease].filter(Boolean))
  }

  #select(name, options, chosen) {
    const select = h('select', { 'aria-label': name, onchange: () => { this.#life.hidden = this.#ttl.value !== 'set'; this.#changed() } },
      options.map(([value, label]) => h('option', { value }, label)))
    if (options.some(([value]) => value === chosen)) select.value = chosen
    return select
  }

  get choice() { return this.#ttl && { ttl: this.#ttl.value, life: this.#life.value, lease: this.#lease?.value } }
  get changed() { return this.#ttl.value !== 'keep' || this.#lease?.value === 'detach' }

  /** options returns what a put must say. It throws if a time is missing. */
  options() {
    const life = this.#life.value.trim()
    if (this.#ttl.value === 'set' && !life) throw new Error('Enter a time to live, such as 30s or 24h.')
    const ttl = { keep: this.#entry ? 'keep' : undefined, none: undefined, set: life }[this.#ttl.value]
    return { ttl, lease: this.#lease?.value === 'keep' ? this.#entry.lease : undefined }
  }
}
