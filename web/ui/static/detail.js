// One key: what it is now, what happened to it, and the way to change it.

import { h, set, icon, clock, bytes, count, sizeOf, text, dump, choose, copyButton } from './dom.js'
import { Samples, draw } from './spark.js'
import { change } from './recent.js'
import { Changes } from './changes.js'
import { Editor } from './edit.js'

const LOOK = 1000 // ms between looks at what a watch does not tell: lease and tier
const SHOWN = 100_000 // characters of a value that are shown
const TREND = 120

const field = (name, el, more = {}) => h('div', more, h('dt', {}, name), el)

export class Detail {
  key = null
  #kw; #box; #store; #closed; #watch = null; #entry = null; #first = 0; #lifetime = 0; #changes = null; #trend; #editor = null
  #looked = 0; #looking = 0; #parts = null; #stale = false; #gone = 0

  /** store knows the past of a key; closed is called when the panel was closed by its button. */
  constructor(kw, box, store, closed) {
    this.#kw = kw
    this.#box = box
    this.#store = store
    this.#closed = closed
  }

  get editing() { return this.#editor !== null }

  /** show opens the panel on a key. It asks first if that would lose an edit. */
  async show(key) {
    if (key === this.key) return true
    if (!await this.leave()) return false
    this.key = key
    this.#entry = null
    this.#changes = new Changes(this.#store.recent.of(key, 50))
    this.#lifetime = this.#gone = 0
    this.#trend = new Samples(TREND)
    this.#build()
    this.#box.hidden = false
    document.body.classList.add('with-detail')
    this.#watch = this.#kw.watch({ keys: [key] }, {
      reset: () => { this.#first++; this.#gone = 0; this.#entry = null },
      put: e => this.#changed(e),
      delete: e => this.#changed(e),
      synced: () => this.#synced(),
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
      [['discard', 'Discard', 'danger'], ['', 'Keep editing', '']])
    return answer === 'discard'
  }

  #build() {
    const p = this.#parts = {
      value: h('pre', { class: 'whole', tabIndex: 0, 'aria-label': 'Value' }),
      trend: h('canvas', { class: 'big', 'aria-hidden': 'true' }), high: h('span'), low: h('span', { class: 'low' }),
      version: h('dd'), rev: h('dd'), created: h('dd'), size: h('dd'), ttl: h('span'), lease: h('dd'), tier: h('dd'),
      bar: h('progress', { max: 1, hidden: true, 'aria-label': 'Time to live' }), state: h('p', { class: 'state', role: 'status' }),
      body: h('div', { class: 'body' }),
    }
    p.chart = h('div', { class: 'chart', hidden: true, title: 'The last numbers: highest and lowest' }, p.trend, p.high, p.low)
    p.edit = h('button', { id: 'edit', title: 'Edit (e)', onclick: () => this.edit() }, 'Edit')
    p.remove = h('button', { id: 'remove', class: 'danger', disabled: true, onclick: () => this.remove() }, 'Delete')
    p.copy = copyButton('Copy value', () => text(this.#entry?.value ?? '', Infinity))
    p.actions = h('div', { class: 'actions' }, p.edit, p.remove, h('span', { class: 'far' }, p.copy))
    p.life = field('Time to live', h('dd', {}, p.ttl, p.bar))
    p.body.append(p.value, p.chart)
    const cut = this.key.lastIndexOf('/') + 1
    this.#box.replaceChildren(
      h('div', { class: 'title' }, h('h2', {}, h('span', { class: 'folder' }, this.key.slice(0, cut)), h('span', { class: 'last' }, this.key.slice(cut))),
        copyButton('Copy key', () => this.key),
        h('button', { id: 'close', class: 'square plain', 'aria-label': 'Close', title: 'Close (Esc)', onclick: async () => { if (await this.leave()) this.#closed() } }, icon('close'))),
      p.state, p.body, p.actions,
      h('dl', { class: 'facts' }, field('Version', p.version), field('Revision', p.rev), field('Created at', p.created, { title: 'The revision at which it was created' }),
        field('Size', p.size), field('Tier', p.tier, { title: 'Where its value lies now' }), field('Lease', p.lease), p.life),
      h('h3', {}, 'Last changes'), this.#changes.el)
  }

  /** synced begins the line with what the tree has seen of this key. */
  #synced() {
    const past = this.#store.keys.get(this.key)
    if (this.#first && this.#trend.length < 2 && past?.trend && past.rev === this.#entry?.rev) {
      this.#trend = new Samples(TREND)
      for (let i = 0; i < past.trend.length; i++) this.#trend.push(past.trend.at(i))
    }
    this.#first = 0
    this.#stale = true
  }

  #changed(e) {
    const wasThere = this.#entry
    this.#entry = e.type === 'put' ? { ...e, lease: wasThere?.lease, tier: wasThere?.tier } : null
    this.#lifetime = e.expires ? Math.max(e.ttl_ms, e.version === wasThere?.version ? this.#lifetime : 0) : 0
    if (e.type === 'delete') this.#gone = e.rev
    if (!this.#first) this.#changes.add(change(e))
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
    // What was asked before it was deleted is not to bring it back.
    if (key !== this.key || !found || !this.#entry && found.rev <= this.#gone) return
    if (!this.#entry || this.#entry.rev === found.rev) this.#entry = { ...found }
    else Object.assign(this.#entry, { lease: found.lease, tier: found.tier }) // it changes faster than it can be asked for
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
    this.#changes.draw()
  }

  #facts(p, e) {
    set(p.version, e ? whole(e.version) : '–')
    set(p.rev, e ? whole(e.rev) : '–')
    set(p.created, e ? whole(e.create_rev) : '–')
    set(p.size, e ? bytes(sizeOf(e.value)) : '–')
    set(p.lease, e?.lease ?? 'none')
    set(p.tier, e?.tier ?? '–')
    p.life.className = e?.expires ? 'long' : ''
    if (!e?.expires) {
      set(p.ttl, 'none')
      p.bar.hidden = true
    }
  }

  #draw(p, e) {
    // An editor says for itself that the key has gone, below its buttons.
    const gone = !e && !this.#editor && this.#watch?.phase === 'live'
    p.state.className = gone ? 'state bad' : 'state'
    set(p.state, gone ? 'There is no such key now.' : '')
    set(p.value, e ? pretty(e.value) : '')
    p.value.className = `whole${e ? '' : ' absent'}${e && typeof e.value !== 'string' ? ' hex' : ''}`
    this.#chart(p)
    set(p.edit, e ? 'Edit' : 'Create')
    if (!e && (document.activeElement === p.remove || document.activeElement === p.copy)) p.edit.focus() // none can stay where nothing can be pressed
    p.remove.disabled = p.copy.disabled = !e
  }

  #chart(p) {
    p.chart.hidden = this.#trend.length < 2
    if (p.chart.hidden) return
    const [low, high] = this.#trend.range()
    set(p.high, short(high))
    set(p.low, low === high ? '' : short(low))
    draw(p.trend, this.#trend)
  }

  /** redraw is for when the colours or the room have changed. */
  redraw() { this.#stale = true }

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
      p.body.replaceChildren(p.value, p.chart)
      p.actions.hidden = false
      this.#stale = true
      p.edit.focus()
    }
    this.#editor = new Editor(this.#kw, key, base, p.body, done)
    p.actions.hidden = true
    set(p.state, '')
  }

  /** remove deletes the version that is shown, and no other. */
  async remove() {
    const key = this.key, seen = await this.#kw.get(key).catch(err => this.#problem(err))
    if (!seen) return
    const sure = await choose('Delete this key?', h('div', {}, h('pre', {}, key), h('p', {}, `Version ${seen.version}, ${bytes(sizeOf(seen.value))}. This cannot be undone.`)),
      [['delete', 'Delete', 'danger'], ['', 'Cancel', '']])
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
      [['delete', 'Delete this version', 'danger'], ['', 'Keep it', '']])
    if (answer !== 'delete') return
    const check = { key, rev: current.rev }
    const result = await this.#kw.batch({ checks: [check], ops: [{ op: 'delete', key }] })
    if (!result.ok && result.current) await this.#removeAnyway(key, result.current)
  }
}

/** whole and short are numbers for people: revisions with all their digits, samples with what counts. */
const whole = n => n.toLocaleString('en')
const short = n => Number.isInteger(n) ? count(n) : String(Number(n.toPrecision(5)))

/** pretty shows JSON with its structure, bytes as a dump, and all else as it is. */
function pretty(value) {
  if (typeof value !== 'string') return dump(value)
  if (value.length > SHOWN) return `${value.slice(0, SHOWN)}\n… ${whole(value.length - SHOWN)} more characters; Copy value takes all`
  if (!/^\s*[[{]/.test(value)) return value
  try {
    JSON.parse(value)
    return indent(value)
  } catch {
    return value
  }
}

/** indent gives JSON lines. It moves what is there and writes nothing anew: 1.0 and 2^60 stay what they are. */
export function indent(json) {
  let depth = 0
  const line = () => '\n' + '  '.repeat(depth)
  return json.replace(/("(?:[^"\\]|\\.)*")|([{[])\s*([}\]])?|([}\]])|([,:])|\s+/g, (all, string, open, shut, close, mark) => {
    if (string) return string
    if (open) return shut ? open + shut : (depth++, open + line())
    if (close) return depth--, line() + close
    return mark === ',' ? mark + line() : mark === ':' ? ': ' : ''
  })
}
