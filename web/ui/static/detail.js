// One key: what it is now, what happened to it, and the way to change it.

import { h, set, span, clock, bytes, sizeOf, text, choose } from './dom.js'
import { Samples, draw } from './spark.js'
import { Editor } from './edit.js'

const CHANGES_MAX = 50
const LOOK = 1000 // ms between looks at what a watch does not tell: lease and tier

const field = (name, el) => h('div', { class: 'field' }, h('dt', {}, name), el)

export class Detail {
  key = null
  #kw; #box; #closed; #watch = null; #entry = null; #first = 0; #lifetime = 0; #changes = []; #trend; #editor = null
  #looked = 0; #looking = 0; #parts = null; #stale = false

  /** closed is called when the panel was closed by its button. */
  constructor(kw, box, closed) {
    this.#kw = kw
    this.#box = box
    this.#closed = closed
  }

  get editing() { return this.#editor !== null }

  /** show opens the panel on a key. It asks first if that would lose an edit. */
  async show(key) {
    if (key === this.key) return true
    if (!await this.leave()) return false
    this.key = key
    this.#entry = null
    this.#changes = []
    this.#lifetime = 0
    this.#trend = new Samples(120)
    this.#build()
    this.#box.hidden = false
    document.body.classList.add('with-detail')
    this.#watch = this.#kw.watch({ keys: [key] }, {
      reset: () => { this.#first++; this.#entry = null },
      put: e => this.#changed(e),
      delete: e => this.#changed(e),
      synced: () => { this.#first = 0; this.#stale = true },
      error: err => this.#problem(err),
    })
    this.#look()
    return true
  }

  /** leave closes the panel; false if the user would rather stay. */
  async leave() {
    if (this.#editor?.changed && !await this.#mayLose()) return false
    this.#watch?.close()
    clearTimeout(this.#looking)
    this.#watch = this.#editor = this.key = this.#parts = null
    this.#box.hidden = true
    this.#box.replaceChildren()
    document.body.classList.remove('with-detail')
    return true
  }

  async #mayLose() {
    const answer = await choose('Discard your changes?', h('p', {}, `What you wrote for ${this.key} is not saved.`),
      [['', 'Keep editing', ''], ['discard', 'Discard', 'danger']])
    return answer === 'discard'
  }

  #build() {
    const p = this.#parts = {
      value: h('pre', { class: 'whole', tabIndex: 0, 'aria-label': 'Value' }), trend: h('canvas', { class: 'big trend', hidden: true, 'aria-hidden': 'true' }),
      version: h('dd'), rev: h('dd'), created: h('dd'), size: h('dd'), ttl: h('dd'), lease: h('dd'), tier: h('dd'),
      bar: h('progress', { max: 1, hidden: true, 'aria-label': 'Time to live' }), state: h('p', { class: 'state', role: 'status' }),
      changes: h('ol', { class: 'changes' }), body: h('div', { class: 'body' }),
    }
    p.edit = h('button', { id: 'edit', title: 'Edit (e)', onclick: () => this.edit() }, 'Edit')
    p.remove = h('button', { id: 'remove', class: 'danger', onclick: () => this.remove() }, 'Delete')
    p.actions = h('div', { class: 'actions' }, p.edit, p.remove)
    p.body.append(p.value, p.trend)
    this.#box.replaceChildren(
      h('div', { class: 'title' }, h('h2', { title: this.key }, this.key),
        h('button', { id: 'close', 'aria-label': 'Close', title: 'Close (Esc)', onclick: async () => { if (await this.leave()) this.#closed() } }, '✕')),
      p.state, p.body, p.actions,
      h('dl', { class: 'facts' }, field('Version', p.version), field('Revision', p.rev), field('Created at revision', p.created),
        field('Size', p.size), field('Time to live', h('dd', {}, p.ttl, p.bar)), field('Lease', p.lease), field('Tier', p.tier)),
      h('h3', {}, 'Last changes'), p.changes)
  }

  #changed(e) {
    const wasThere = this.#entry
    this.#entry = e.type === 'put' ? { ...e, lease: wasThere?.lease, tier: wasThere?.tier } : null
    this.#lifetime = e.expires ? Math.max(e.ttl_ms, e.version === wasThere?.version ? this.#lifetime : 0) : 0
    if (!this.#first) this.#changes.unshift({ ...e, when: Date.now() })
    this.#changes.length = Math.min(this.#changes.length, CHANGES_MAX)
    const n = e.type === 'put' && typeof e.value === 'string' && e.value.trim() !== '' ? Number(e.value) : NaN
    if (Number.isFinite(n)) this.#trend.push(n)
    this.#editor?.note(e)
    this.#stale = true
    if (Date.now() - this.#looked > LOOK) this.#look()
    else if (!this.#looking) this.#looking = setTimeout(() => this.#look(), LOOK)
  }

  /** look asks for what only a read tells. */
  async #look() {
    clearTimeout(this.#looking)
    this.#looking = 0
    this.#looked = Date.now()
    const key = this.key
    if (!key) return
    const found = await this.#kw.get(key).catch(() => undefined)
    if (key !== this.key || !found || this.#entry && this.#entry.rev !== found.rev) return
    this.#entry = { ...found }
    this.#stale = true
  }

  #problem(err) {
    if (!this.#parts) return
    this.#parts.state.className = 'state bad'
    set(this.#parts.state, err.message)
  }

  /** tick runs once a frame: what changed is drawn, and time runs down. */
  tick(now) {
    const p = this.#parts, e = this.#entry
    if (!p) return
    if (e?.expires) {
      const left = Math.max(0, e.expires - now)
      set(p.ttl, clock(left))
      p.bar.hidden = false
      p.bar.value = this.#lifetime ? left / this.#lifetime : 1
    }
    if (!this.#stale) return
    this.#stale = false
    this.#facts(p, e)
    this.#draw(p, e)
    this.#list(p, now)
  }

  #facts(p, e) {
    set(p.version, e ? String(e.version) : '–')
    set(p.rev, e ? String(e.rev) : '–')
    set(p.created, e ? String(e.create_rev) : '–')
    set(p.size, e ? bytes(sizeOf(e.value)) : '–')
    set(p.lease, e?.lease ?? 'none')
    set(p.tier, e?.tier ?? '–')
    if (!e?.expires) {
      set(p.ttl, 'none')
      p.bar.hidden = true
    }
  }

  #draw(p, e) {
    p.state.className = e ? 'state' : 'state bad'
    set(p.state, e ? '' : this.#watch?.phase === 'live' ? 'There is no such key now.' : '')
    set(p.value, e ? pretty(e.value) : '')
    p.value.classList.toggle('absent', !e)
    p.trend.hidden = this.#trend.length < 2
    if (!p.trend.hidden) draw(p.trend, this.#trend)
    set(p.edit, e ? 'Edit' : 'Create')
    p.remove.disabled = !e
  }

  #list(p, now) {
    if (!this.#changes.length) {
      p.changes.replaceChildren(h('li', { class: 'none' }, 'None since you opened it.'))
      return
    }
    p.changes.replaceChildren(...this.#changes.map(c => h('li', {},
      h('span', { class: 'when', title: new Date(c.when).toLocaleString() }, timeOf(c.when)),
      h('span', { class: 'version' }, c.type === 'put' ? `v${c.version}` : c.cause),
      h('span', { class: 'value' }, c.type === 'put' ? text(c.value, 40).slice(0, 200) : ''))))
  }

  /** edit begins an edit of what is there now. */
  async edit() {
    if (!this.key || this.#editor) return
    const p = this.#parts, key = this.key
    let base
    try {
      base = await this.#kw.get(key)
    } catch (err) {
      return this.#problem(err)
    }
    if (key !== this.key || this.#editor) return
    const done = () => {
      this.#editor = null
      p.body.replaceChildren(p.value, p.trend)
      p.actions.hidden = false
      this.#stale = true
      p.edit.focus()
    }
    this.#editor = new Editor(this.#kw, key, base, p.body, done)
    p.actions.hidden = true
  }

  /** remove deletes the version that is shown, and no other. */
  async remove() {
    const key = this.key, seen = await this.#kw.get(key).catch(err => this.#problem(err))
    if (!seen) return
    const sure = await choose(`Delete ${key}?`, h('p', {}, `Version ${seen.version}, ${bytes(sizeOf(seen.value))}. This cannot be undone.`),
      [['', 'Cancel', ''], ['delete', 'Delete', 'danger']])
    if (sure !== 'delete') return
    try {
      const result = await this.#kw.delete(key, { ifMatch: seen.etag })
      if (!result.ok && result.current) await this.#removeAnyway(key, result.current)
    } catch (err) {
      this.#problem(err)
    }
  }

  async #removeAnyway(key, current) {
    const answer = await choose('It changed meanwhile', h('div', {}, h('p', {}, `${key} is at version ${current.version} now:`), h('pre', {}, text(current.value ?? '').slice(0, 2000))),
      [['', 'Keep it', ''], ['delete', 'Delete this version', 'danger']])
    if (answer !== 'delete') return
    const check = { key, rev: current.rev }
    const result = await this.#kw.batch({ checks: [check], ops: [{ op: 'delete', key }] })
    if (!result.ok && result.current) await this.#removeAnyway(key, result.current)
  }
}

/** timeOf is the local time of day to a tenth of a second. */
const timeOf = when => `${new Date(when).toTimeString().slice(0, 8)}.${Math.floor(when % 1000 / 100)}`

/** pretty shows JSON with its structure, and all else as it is. */
function pretty(value) {
  if (typeof value !== 'string') return text(value)
  if (!/^\s*[[{]/.test(value) || value.length > 200_000) return value
  try {
    return JSON.stringify(JSON.parse(value), null, 2)
  } catch {
    return value
  }
}
