// The tree of keys as rows, of which only those on the screen exist.

import { h, set, span, plural } from './dom.js'
import { draw } from './spark.js'

const OVERSCAN = 6 // rows kept above and below what is seen
const FLASH = 300 // ms between flashes of one row
const EARLIER = 'earlier' // than this page was opened: a key does not say when it changed

export class Grid {
  selected = null // path of the row under the cursor
  #box; #body; #store; #open; #rows = []; #pool = []; #height = 0; #heads = 0; #first = 0; #last = -1

  /** open is called with the key of a row that is chosen. */
  constructor(box, body, store, open, wake) {
    this.#box = box
    this.#body = body
    this.#store = store
    this.#open = open
    box.addEventListener('scroll', wake, { passive: true })
    box.addEventListener('keydown', e => this.#key(e) && (e.preventDefault(), wake()))
    box.addEventListener('click', e => { this.#click(e); wake() })
    new ResizeObserver(() => { this.#height = 0; wake() }).observe(box)
  }

  get rows() { return this.#rows }

  /** draw brings the rows on the screen up to date. It is called once a frame at most. */
  draw() {
    if (this.#store.restructured) this.#restructure()
    if (!this.#height) this.#measure()
    const top = Math.floor(this.#box.scrollTop / this.#height) // the heads cover as much as they move
    this.#first = Math.max(0, top - OVERSCAN)
    this.#last = Math.min(this.#rows.length, top + Math.ceil(this.#box.clientHeight / this.#height) + OVERSCAN) - 1
    this.#fit(this.#last - this.#first + 1)
    const now = Date.now()
    const used = new Set()
    for (let i = this.#first; i <= this.#last; i++) {
      const row = this.#pool[i % this.#pool.length]
      used.add(row)
      row.show(this.#rows[i], i, this.#height, this.#rows[i].path === this.selected, this.#store.filter !== '', now)
    }
    for (const row of this.#pool) if (!used.has(row)) row.hide()
    const active = this.#pool.find(row => used.has(row) && row.node?.path === this.selected)
    if (active) this.#box.setAttribute('aria-activedescendant', active.el.id)
    else this.#box.removeAttribute('aria-activedescendant')
  }

  #restructure() {
    const gone = this.selected !== null && !this.#store.has(this.selected), at = gone ? this.#index() : -1
    this.#rows = this.#store.rows()
    // Where the key under the cursor was deleted, the cursor moves to the row in its place.
    if (at >= 0) this.selected = this.#rows[Math.min(at, this.#rows.length - 1)]?.path ?? null
    this.#box.setAttribute('aria-rowcount', this.#rows.length + 1)
    this.#stretch()
  }

  #measure() {
    this.#height = parseFloat(getComputedStyle(this.#box).getPropertyValue('--row')) || 28
    this.#heads = this.#body.offsetTop
    for (const row of this.#pool) row.hide()
    this.#stretch()
  }

  #stretch() { this.#body.style.height = `${this.#rows.length * this.#height}px` }

  #fit(n) {
    if (n <= this.#pool.length) return
    for (const row of this.#pool) row.hide()
    while (this.#pool.length < n) {
      const row = new Row(this.#pool.length)
      this.#pool.push(row)
      this.#body.append(row.el)
    }
  }

  #index() { return this.#rows.findIndex(n => n.path === this.selected) }

  /** select puts the cursor on a path, and scrolls to it. */
  select(path) {
    this.selected = path
    if (this.#store.restructured) this.#restructure()
    const i = this.#index()
    if (i < 0 || !this.#height) return
    const y = i * this.#height, box = this.#box
    const seen = box.clientHeight - this.#heads
    if (y < box.scrollTop) box.scrollTop = y
    else if (y + this.#height > box.scrollTop + seen) box.scrollTop = y + this.#height - seen
  }

  #click(e) {
    const el = e.target.closest('.row')
    const row = this.#pool.find(r => r.el === el)
    if (row?.node) this.#choose(row.node)
  }

  #choose(node) {
    this.selected = node.path
    if (node.folder) this.#store.choose(node)
    else this.#open(node.path)
  }

  /** key moves and opens as in any tree; it reports whether it took the key. */
  #key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey || !this.#rows.length) return false
    const i = this.#index(), node = this.#rows[i]
    const page = Math.max(1, Math.floor((this.#box.clientHeight - this.#heads) / this.#height) - 1)
    const moves = { ArrowDown: i + 1, ArrowUp: i < 0 ? 0 : i - 1, PageDown: i + page, PageUp: i - page, Home: 0, End: this.#rows.length - 1 }
    if (e.key in moves) {
      this.select(this.#rows[Math.min(this.#rows.length - 1, Math.max(0, moves[e.key]))].path)
      return true
    }
    if (!node) return false
    if (e.key === 'Enter' || e.key === ' ') this.#choose(node)
    else if (e.key === 'ArrowRight' && node.folder && !node.open) this.#store.choose(node, true)
    else if (e.key === 'ArrowRight' && node.folder) this.select(this.#rows[Math.min(i + 1, this.#rows.length - 1)].path)
    else if (e.key === 'ArrowLeft' && node.folder && node.open) this.#store.choose(node, false)
    else if (e.key === 'ArrowLeft' && node.parent.parent) this.select(node.parent.path)
    else return false
    return true
  }
}

/** A Row is one element, which shows now this node and now that one. */
class Row {
  node = null
  #name = h('span', { class: 'name', role: 'rowheader' }); #value = h('span', { class: 'value', role: 'gridcell' })
  #trend = h('canvas', { class: 'trend', 'aria-hidden': 'true' }); #version = h('span', { class: 'version', role: 'gridcell' })
  #age = h('span', { class: 'age', role: 'gridcell', title: 'When this page last saw it change' })
  #tick = -1; #index = -1; #state = ''; #flashed = 0; #flip = false; #drawn = false

  constructor(n) {
    this.el = h('div', { class: 'row', role: 'row', id: `row-${n}`, hidden: true }, this.#name, this.#value, this.#trend, this.#version, this.#age)
  }

  hide() {
    this.el.hidden = true
    this.node = null
    this.#index = -1
  }

  show(node, index, height, selected, flat, now) {
    const other = node !== this.node
    const el = this.el
    if (other) {
      this.node = node
      el.hidden = false
      this.#state = ''
    }
    if (other || index !== this.#index) {
      this.#index = index
      el.style.transform = `translateY(${index * height}px)`
      el.setAttribute('aria-rowindex', index + 2)
    }
    const state = `${selected}${node.folder && node.open}${flat}`
    if (state !== this.#state) this.#outline(node, selected, flat, state)
    if (other || node.tick !== this.#tick) this.#fill(node, other, now)
    set(this.#age, node.changed ? span(now - node.changed) : EARLIER)
  }

  #outline(node, selected, flat, state) {
    this.#state = state
    this.el.className = `row${node.folder ? ' folder' : ''}${selected ? ' selected' : ''}${node.open && node.folder ? ' open' : ''}`
    this.el.setAttribute('aria-level', flat ? 1 : node.depth + 1)
    this.el.setAttribute('aria-selected', selected)
    if (node.folder) this.el.setAttribute('aria-expanded', node.open)
    else this.el.removeAttribute('aria-expanded')
    this.el.style.setProperty('--depth', flat ? 0 : node.depth)
    set(this.#name, flat ? node.path : node.name)
    this.#name.title = node.path
  }

  #fill(node, other, now) {
    this.#tick = node.tick
    const text = node.folder ? plural(node.keys, 'key') : node.value
    this.#value.dataset.empty = text ? 'white space' : 'empty'
    set(this.#value, text.trim() ? text : '')
    set(this.#version, node.folder ? '' : String(node.version))
    if (node.trend?.length > 1 || this.#drawn) draw(this.#trend, node.trend)
    this.#drawn = Boolean(node.trend)
    // An open prefix shows what changed in it; only a closed one speaks for it.
    if (other || node.folder && node.open || now - this.#flashed < FLASH) return
    // Two names for one animation, used in turns, start it again without a layout.
    this.#flashed = now
    this.#flip = !this.#flip
    this.el.classList.toggle('flash-a', this.#flip)
    this.el.classList.toggle('flash-b', !this.#flip)
  }
}
