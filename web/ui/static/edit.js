// Editing by compare-and-swap: what is saved replaces the version that the edit
// began with, and no other. If somebody was faster, both are shown.

import { h, set, text } from './dom.js'

const ttlChoices = entry => [entry?.ttl_ms ? ['keep', 'Keep the time to live'] : null, ['none', 'No time to live'], ['set', 'Live for …']].filter(Boolean)

export class Editor {
  #kw; #key; #base; #box; #done; #area; #ttl; #life; #state; #save; #busy = false; #current = null; #theirs = null

  /** base is the entry that the edit begins with, null for a key that is not there. */
  constructor(kw, key, base, box, done) {
    this.#kw = kw
    this.#key = key
    this.#base = base
    this.#box = box
    this.#done = done
    this.#build(base && typeof base.value === 'string' ? base.value : '')
  }

  get changed() { return this.#area.value !== this.#begun() }

  #begun() { return this.#base && typeof this.#base.value === 'string' ? this.#base.value : '' }

  #build(value) {
    this.#area = h('textarea', { id: 'value', 'aria-label': 'New value', spellcheck: false, value, rows: Math.min(20, Math.max(8, value.split('\n').length + 1)), onkeydown: e => this.#keys(e) })
    this.#ttl = h('select', { 'aria-label': 'Time to live', onchange: () => { this.#life.hidden = this.#ttl.value !== 'set' } },
      ttlChoices(this.#base).map(([value, label]) => h('option', { value }, label)))
    this.#life = h('input', { type: 'text', size: 8, placeholder: '30s', 'aria-label': 'Live for, such as 30s or 24h', hidden: true })
    this.#state = h('p', { class: 'state', role: 'status' })
    this.#save = h('button', { id: 'save', class: 'primary', title: 'Save (Ctrl+Enter)', onclick: () => this.save() }, this.#base ? 'Save' : 'Create')
    this.#show([this.#area], [h('button', { id: 'cancel', onclick: () => this.#done() }, 'Cancel')])
    if (this.#base && typeof this.#base.value !== 'string') this.#say('The value is not text. What you write here replaces it.')
    this.#area.focus()
  }

  #show(middle, others) {
    // What is said comes below the buttons, which must not move under a hand.
    this.#box.replaceChildren(...middle, h('div', { class: 'options' }, this.#ttl, this.#life), h('div', { class: 'actions' }, this.#save, others), this.#state)
  }

  #keys(e) {
    if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) this.save()
    if (e.key === 'Escape' && !this.changed) this.#done()
    else return
    e.stopPropagation()
  }

  #say(message, bad = false) {
    this.#state.className = bad ? 'state bad' : 'state'
    set(this.#state, message)
  }

  /** note tells that the key changed while it is edited. */
  note(e) {
    if (this.#theirs || this.#busy || e.rev === this.#base?.rev) return
    this.#say(e.type === 'put' ? `Changed meanwhile: now version ${e.version}. Saving will show both.` : 'Deleted meanwhile.', true)
  }

  #condition() {
    if (this.#theirs) return this.#current ? { ifRev: this.#current.rev } : { ifAbsent: true }
    return this.#base ? { ifMatch: this.#base.etag } : { ifAbsent: true }
  }

  #lifetime() {
    if (this.#ttl.value === 'keep') return 'keep'
    return this.#ttl.value === 'set' ? this.#life.value.trim() || '30s' : undefined
  }

  async save() {
    if (this.#busy) return
    this.#busy = true
    this.#save.disabled = true
    try {
      const result = await this.#kw.put(this.#key, this.#area.value, { ...this.#condition(), ttl: this.#lifetime() })
      if (result.ok) return this.#done()
      this.#conflict(result)
    } catch (err) {
      this.#say(err.message, true)
    } finally {
      this.#busy = false
      this.#save.disabled = false
    }
  }

  /** conflict shows theirs beside yours. The next save replaces theirs, if that is still what is there. */
  async #conflict({ code, current }) {
    if (code !== 'compare_failed') return this.#say(code, true)
    // Values above 64 KiB are left out of the answer.
    if (current && current.value === undefined) current = await this.#kw.get(this.#key)
    this.#current = current ?? null
    const theirs = this.#theirs = h('pre', { class: 'theirs', tabIndex: 0, 'aria-label': 'Their value' })
    this.#mark()
    this.#area.oninput = () => this.#mark()
    set(this.#save, current ? 'Replace theirs with mine' : 'Create it again with mine')
    const was = this.#base ? `version ${this.#base.version}` : 'no such key'
    const now = current ? `now it is version ${current.version}` : 'now it is deleted'
    this.#show([
      h('p', { class: 'conflict', role: 'alert' }, h('strong', {}, 'Somebody else was faster. '), `You began with ${was}; ${now}. Nothing was overwritten.`),
      h('div', { class: 'sides' },
        h('section', { 'aria-label': 'Theirs' }, h('h3', {}, current ? `Theirs, version ${current.version}` : 'Theirs'), theirs),
        h('section', { 'aria-label': 'Yours' }, h('h3', {}, 'Yours'), this.#area)),
    ], [
      h('button', { id: 'take', onclick: () => this.#done() }, current ? 'Take theirs' : 'Leave it deleted'),
      current && h('button', { id: 'copy', onclick: () => this.#copy() }, 'Start again from theirs'),
    ])
    this.#say('')
    this.#area.focus()
  }

  #copy() {
    this.#area.value = text(this.#current.value)
    this.#mark()
    this.#area.focus()
  }

  /** mark shows which of their lines yours does not have. */
  #mark() {
    const mine = new Set(this.#area.value.split('\n'))
    const lines = this.#current ? text(this.#current.value).split('\n') : ['(deleted)']
    this.#theirs.replaceChildren(...lines.slice(0, 2000).map(line => h('span', { class: mine.has(line) ? '' : 'differs' }, line + '\n')))
  }
}
