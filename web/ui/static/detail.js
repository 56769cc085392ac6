// One key: what it is now, what happened to it, and the way to change it.

import { h, set, icon, bytes, count, sizeOf, text, choose, copyButton } from './dom.js'
import { Samples, draw } from './spark.js'
import { change } from './recent.js'
import { Changes, timeOf } from './changes.js'
import { Editor, mayDiscard, revive, tooLong } from './edit.js'
import { explain } from './explain.js'
import { Facts } from './facts.js'
import { inTab } from './kept.js'
import { permit } from './person.js'
import { pretty } from './value.js'

const LOOK = 1000 // ms between looks at what a watch does not tell: lease and tier
const KEEP = 300 // ms after which an edit is kept, so that a reload does not lose it
const TREND = 120
const LOCKS = 'locks/' // keys that only lock requests write

export class Detail {
  key = null
  #kw; #box; #store; #closed; #wake; #watch = null; #entry = null; #read = null; #first = 0; #began = false; #changes = null; #trend; #editor = null
  #looked = 0; #looking = 0; #parts = null; #stale = false; #gone = null; #trouble = ''; #keeping = 0

  /**
   * store knows the past of a key. closed is called with the key when the panel was
   * closed from within it, and whether the key was deleted; wake has tick called.
   */
  constructor(kw, box, store, closed, wake) {
    this.#kw = kw
    this.#box = box
    this.#store = store
    this.#closed = closed
    this.#wake = wake
    addEventListener('pagehide', () => this.#keep())
    addEventListener('beforeunload', e => { if (this.#editor?.changed) e.preventDefault() })
  }

  get editing() { return this.#editor !== null }

  /** show opens the panel on a key. It asks first if that would lose an edit. */
  async show(key) {
    if (key === this.key) return true
    if (!await this.leave()) return false
    this.key = key
    this.#entry = this.#read = this.#gone = null
    this.#changes = new Changes(this.#store.recent.of(key, 50))
    this.#trouble = ''
    this.#began = false
    this.#trend = new Samples(TREND)
    this.#build()
    this.redraw()
    this.#box.hidden = false
    document.body.classList.add('with-detail')
    this.#watch = this.#kw.watch({ keys: [key] }, {
      reset: () => this.#forgetAll(),
      put: e => this.#changed(e),
      delete: e => this.#changed(e),
      synced: () => this.#synced(),
      error: err => this.#problem(err),
    })
    this.#look()
    const kept = inTab.get(this.#draft)
    if (kept) this.#edit(revive(kept), kept)
    return true
  }

  /** leave closes the panel; false if the user would rather stay. */
  async leave() {
    if (this.#editor?.changed && !await mayDiscard(this.key)) return false
    this.#forget()
    this.#watch?.close()
    clearTimeout(this.#looking)
    this.#watch = this.#editor = this.key = this.#parts = null
    this.#box.hidden = true
    this.#box.replaceChildren()
    document.body.classList.remove('with-detail')
    return true
  }

  /** close leaves, and says so. */
  async close(deleted = false) {
    const key = this.key
    if (await this.leave()) this.#closed(key, deleted)
  }

  #build() {
    const p = this.#parts = {
      value: h('pre', { class: 'whole', tabIndex: 0, 'aria-label': 'Value' }),
      trend: h('canvas', { class: 'big', 'aria-hidden': 'true' }), high: h('span'), low: h('span', { class: 'low' }),
      facts: new Facts(), state: h('p', { class: 'state', role: 'status' }), body: h('div', { class: 'body' }),
    }
    p.chart = h('div', { class: 'chart', hidden: true, title: 'The last numbers: highest and lowest' }, p.trend, p.high, p.low)
    p.edit = h('button', { id: 'edit', title: 'Edit (e)', onclick: () => this.edit() }, 'Edit')
    p.remove = h('button', { id: 'remove', class: 'danger', disabled: true, onclick: () => this.remove() }, 'Delete')
    p.copy = copyButton('Copy value', () => text(this.#entry?.value ?? '', Infinity))
    p.actions = h('div', { class: 'actions' }, this.#reserved ? this.#lock() : this.#allowed ? [p.edit, p.remove] : null, h('span', { class: 'far' }, p.copy))
    p.body.append(p.value, p.chart)
    const cut = this.key.lastIndexOf('/') + 1
    this.#box.replaceChildren(
      h('div', { class: 'title' }, h('h2', {}, h('span', { class: 'folder' }, this.key.slice(0, cut)), h('span', { class: 'last' }, this.key.slice(cut))),
        copyButton('Copy key', () => this.key),
        h('button', { id: 'close', class: 'square plain', 'aria-label': 'Close', title: 'Close (Esc)', onclick: () => this.close() }, icon('close'))),
      p.state, p.body, p.actions, p.facts.el,
      h('h3', {}, 'Last changes'), this.#changes.el)
  }

  /** Whether the person may write the key. */
  get #allowed() { return permit === null || permit.key('write', this.key) }

  get #reserved() { return this.key.startsWith(LOCKS) }

  /** lock says why there is nothing to press. */
  #lock() {
    const name = this.key.slice(LOCKS.length).split('/')[0]
    return h('p', { class: 'why' }, `Only lock requests write this key. To break the lock: keywatch lock --break ${name}`)
  }

  /** forgetAll makes room for a state. What was read holds only if no state came before it: another may be of another history. */
  #forgetAll() {
    this.#first++
    this.#gone = this.#entry = null
    if (this.#began) this.#read = null
  }

  /** synced begins the line with what the tree has seen of this key. */
  #synced() {
    const past = this.#store.keys.get(this.key)
    if (this.#first && this.#trend.length < 2 && past?.trend && past.rev === this.#entry?.rev) {
      this.#trend = new Samples(TREND)
      for (let i = 0; i < past.trend.length; i++) this.#trend.push(past.trend.at(i))
    }
    if (this.#first && !this.#entry) this.#editor?.note({ type: 'delete' }) // while the page was not connected
    this.#first = 0
    this.#began = true
    this.redraw()
  }

  #changed(e) {
    const wasThere = this.#entry
    // What a read said holds until the next one, also where it came before the watch began.
    const { lease, tier } = wasThere ?? (this.#read?.rev === e.rev ? this.#read : {})
    this.#entry = e.type === 'put' ? { ...e, lease, tier } : null
    this.#parts.facts.follow(e, wasThere)
    this.#gone = e.type === 'delete' ? { cause: e.cause, rev: e.rev, when: Date.now() } : null
    if (!this.#first) this.#changes.add(change(e))
    const n = e.type === 'put' && typeof e.value === 'string' && e.value.trim() !== '' ? Number(e.value) : NaN
    if (Number.isFinite(n)) this.#trend.push(n)
    this.#editor?.note(e)
    this.redraw()
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
    if (found === undefined && key === this.key && !this.#looking) this.#looking = setTimeout(() => this.#look(), LOOK)
    // What was asked before it was deleted is not to bring it back.
    if (key !== this.key || !found || !this.#entry && found.rev <= this.#gone?.rev) return
    this.#read = found
    if (!this.#entry || this.#entry.rev === found.rev) this.#entry = { ...found }
    else Object.assign(this.#entry, { lease: found.lease, tier: found.tier }) // it changes faster than it can be asked for
    this.redraw()
  }

  /** problem is shown until something else is tried. */
  #problem(err) {
    this.#trouble = explain(err)
    this.redraw()
  }

  /** tick runs once a frame: what changed is drawn, and time runs down. */
  tick(now) {
    const p = this.#parts
    if (!p) return
    if (this.#stale) {
      this.#stale = false
      p.facts.draw(this.#entry)
      this.#draw(p, this.#entry)
      this.#changes.draw()
    }
    p.facts.tick(now)
  }

  #draw(p, e) {
    // An editor says below its buttons that the key has gone.
    const gone = !e && !this.#editor && this.#watch?.phase === 'live'
    p.state.className = this.#trouble ? 'state bad' : 'state calm'
    set(p.state, this.#trouble || (gone ? this.#farewell() : ''))
    set(p.value, e ? pretty(e.value) : '')
    p.value.className = `whole${e ? '' : ' absent'}${e && typeof e.value !== 'string' ? ' hex' : ''}`
    this.#chart(p)
    set(p.edit, e ? 'Edit' : 'Create')
    if (!e && (document.activeElement === p.remove || document.activeElement === p.copy)) p.edit.focus() // none can stay where nothing can be pressed
    p.remove.disabled = p.copy.disabled = !e
    p.copy.title = p.copy.ariaLabel = e && typeof e.value !== 'string' ? 'Copy value as hexadecimal' : 'Copy value'
  }

  /** farewell says what became of a key that is not there. */
  #farewell() {
    if (!this.#gone) return 'This key does not exist.'
    const how = { expired: 'Expired', lease: 'Deleted with its lease' }[this.#gone.cause] ?? 'Deleted'
    return `${how} at ${timeOf(this.#gone.when).slice(0, 8)}.`
  }

  #chart(p) {
    p.chart.hidden = this.#trend.length < 2
    if (p.chart.hidden) return
    const [low, high] = this.#trend.range()
    set(p.high, short(high))
    set(p.low, low === high ? '' : short(low))
    draw(p.trend, this.#trend)
  }

  /** redraw has everything drawn at the next frame. */
  redraw() {
    this.#stale = true
    this.#wake()
  }

  /** edit begins an edit of what is there now. */
  async edit() {
    if (!this.key || this.#editor || this.#reserved || !this.#allowed) return
    const key = this.key
    let base
    this.#trouble = ''
    try {
      base = await this.#kw.get(key)
    } catch (err) {
      return this.#problem(err)
    }
    if (key !== this.key || this.#editor) return
    if (base && tooLong(base.value)) return this.#problem({ message: `These are ${bytes(base.value.length)} that are not text: too many to edit here. From a shell: keywatch put KEY < FILE` })
    this.#edit(base)
  }

  #edit(base, kept) {
    const p = this.#parts
    const done = () => {
      this.#forget()
      this.#editor = null
      p.body.replaceChildren(p.value, p.chart)
      p.actions.hidden = false
      this.redraw()
      p.edit.focus()
    }
    const input = () => {
      clearTimeout(this.#keeping)
      this.#keeping = setTimeout(() => this.#keep(), KEEP)
    }
    this.#editor = new Editor(this.#kw, this.key, base, p.body, { done, input }, kept)
    p.actions.hidden = true
    this.redraw()
  }

  get #draft() { return `edit ${this.#kw.url} ${this.key}` }

  /** keep has an edit outlive a reload, until it is saved or discarded. */
  #keep() {
    clearTimeout(this.#keeping)
    // One that is too long is not kept, and what was kept of it before is out of date.
    if (this.#editor && !inTab.set(this.#draft, this.#editor.kept())) inTab.set(this.#draft, null)
  }

  #forget() {
    clearTimeout(this.#keeping)
    if (this.#editor) inTab.set(this.#draft, null)
  }

  /** remove deletes the version that is shown, and no other. */
  async remove() {
    this.#trouble = ''
    const key = this.key, seen = await this.#kw.get(key).catch(err => this.#problem(err))
    if (!seen) return
    const sure = await choose('Delete this key?', h('div', {}, h('pre', {}, key), h('p', {}, `Version ${seen.version}, ${bytes(sizeOf(seen.value))}. This cannot be undone.`)),
      [['delete', 'Delete', 'danger'], ['', 'Cancel', '']])
    try {
      if (sure === 'delete') await this.#remove(key, seen)
    } catch (err) {
      this.#problem(err)
    }
  }

  async #remove(key, seen) {
    const result = await this.#kw.delete(key, { ifMatch: seen.etag })
    if (result.ok) return key === this.key && this.close(true)
    if (!result.current) return // another client has deleted it
    const current = { ...result.current, etag: result.etag }
    const answer = await choose('The key has changed', h('div', {}, h('p', {}, `${key} is at version ${current.version} now:`), h('pre', {}, text(current.value ?? '').slice(0, 2000))),
      [['delete', 'Delete this version', 'danger'], ['', 'Keep it', '']])
    if (answer === 'delete') await this.#remove(key, current)
  }
}

/** short is a sample with the digits that count. */
const short = n => Number.isInteger(n) ? count(n) : String(Number(n.toPrecision(5)))
