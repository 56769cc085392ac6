// The keys that are watched, as a tree of prefixes. It knows nothing of the page.

import { preview } from './dom.js'
import { Recent } from './recent.js'
import { Samples } from './spark.js'

/** More keys than this are not held: the page asks for a narrower prefix. */
export const MAX_KEYS = 100_000

const SMALL = 200 // keys; so few are shown without a prefix having to be opened
const CHOICES = 1000 // prefixes of which it is kept whether they were opened or closed
const PREVIEW = 300 // characters of a value that are kept
const TREND = 40 // numbers kept of one key

const number = value => typeof value === 'string' && value.length < 32 && value.trim() !== '' ? Number(value) : NaN

/** A Node is a prefix, whose name ends in "/", or a key. */
class Node {
  kids = null // by name, for a prefix
  order = null // the names of kids, sorted; null when that must be done
  open = false
  keys = 0 // below a prefix
  changed = 0 // when it last changed, for this page
  tick = 0 // counts its changes, for those who draw it
  value = ''
  rev = 0
  version = 0
  trend = null
  generation = 0

  constructor(name, parent) {
    this.name = name
    this.parent = parent
    this.path = parent ? parent.path + name : ''
    this.depth = parent ? parent.depth + 1 : -1
  }

  get folder() { return this.kids !== null }

  kid(name, folder) {
    let kid = this.kids.get(name)
    if (kid) return kid
    kid = new Node(name, this)
    if (folder) kid.kids = new Map()
    this.kids.set(name, kid)
    if (this.order) this.order.splice(place(this.order, name), 0, name)
    return kid
  }

  drop(kid) {
    this.kids.delete(kid.name)
    if (this.order) this.order.splice(place(this.order, kid.name), 1)
  }

  sorted() {
    this.order ??= [...this.kids.keys()].sort()
    return this.order
  }
}

/** place returns where name stands, or would stand, in a sorted list. */
function place(list, name) {
  let low = 0, high = list.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (list[middle] < name) low = middle + 1
    else high = middle
  }
  return low
}

export class Store {
  keys = new Map() // key -> Node
  root = new Node('', null)
  /** Set when other rows are to be shown, not just other values. */
  restructured = true
  /** The last changes of all keys. */
  recent = new Recent()
  #generation = 0
  #filter = ''
  #settled = false // the first state is complete
  #choices // prefix -> whether a person opened or closed it

  /** choices are prefixes that were opened or closed, as choices returns them. */
  constructor(choices = []) {
    this.#choices = new Map(choices)
    this.root.kids = new Map()
    this.root.open = true
  }

  /** settled reports whether the first state is complete. */
  get settled() { return this.#settled }

  get full() { return this.keys.size > MAX_KEYS }

  /** has reports whether there is such a key, or prefix with its "/". */
  has(path) {
    if (!path.endsWith('/')) return this.keys.has(path)
    let at = this.root
    for (const part of path.split('/').slice(0, -1)) at = at?.kids.get(part + '/')
    return Boolean(at)
  }

  /** begin and end enclose the full state: what it does not name is gone. */
  begin() { this.#generation++ }

  end() {
    for (const node of this.keys.values()) if (node.generation !== this.#generation) this.#remove(node)
    if (!this.#settled) this.#settle()
    this.#settled = true
  }

  clear() {
    this.keys.clear()
    this.root.kids.clear()
    this.root.order = null
    this.root.keys = 0
    this.recent = new Recent()
    this.restructured = true
    this.#settled = false
  }

  /** put takes a key as it is now, and reports whether it is new. */
  put(e, live) {
    const known = this.keys.get(e.key)
    const node = known ?? this.#create(e.key)
    this.#take(node, e, live)
    return !known
  }

  #take(node, e, live) {
    node.generation = this.#generation
    const value = preview(e.value, PREVIEW)
    // Another history may have the same revision for another value.
    if (node.rev === e.rev && node.version === e.version && node.value === value) return
    const fresh = node.rev === 0 && !live
    node.rev = e.rev
    node.version = e.version
    node.value = value
    this.#sample(node, number(e.value))
    if (fresh) return
    this.recent.add(e)
    this.#touch(node)
  }

  delete(e) {
    const node = this.keys.get(e.key)
    if (!node) return
    this.recent.add(e)
    this.#remove(node)
  }

  #touch(node) {
    const now = Date.now()
    for (let n = node; n; n = n.parent) {
      n.changed = now
      n.tick++
    }
  }

  #sample(node, n) {
    if (!Number.isFinite(n)) node.trend = null
    else (node.trend ??= new Samples(TREND)).push(n)
  }

  #create(key) {
    let at = this.root
    const parts = key.split('/')
    for (const part of parts.slice(0, -1)) at = this.#folder(at, part + '/')
    const node = at.kid(parts.at(-1), false)
    this.keys.set(key, node)
    for (let n = at; n; n = n.parent) n.keys++
    this.restructured = true
    return node
  }

  /** folder returns a prefix. While there are few keys a new one is open, so that what is written is seen. */
  #folder(parent, name) {
    let node = parent.kids.get(name)
    if (node) return node
    node = parent.kid(name, true)
    node.open = this.#choices.get(node.path) ?? this.keys.size < SMALL
    return node
  }

  /** settle decides which prefixes of the first state are open: all where there are few keys, or the one that has all keys. */
  #settle() {
    const few = this.keys.size <= SMALL
    const walk = node => {
      for (const kid of node.kids.values()) {
        if (!kid.folder) continue
        this.toggle(kid, this.#choices.get(kid.path) ?? (few || node === this.root && node.kids.size === 1))
        walk(kid)
      }
    }
    walk(this.root)
  }

  #remove(node) {
    this.keys.delete(node.path)
    for (let n = node.parent; n; n = n.parent) n.keys--
    for (let n = node; n.parent && (n === node || n.keys === 0); n = n.parent) n.parent.drop(n)
    this.restructured = true
  }

  set filter(text) {
    this.#filter = text.toLowerCase()
    this.restructured = true
  }

  get filter() { return this.#filter }

  /** rows lists what is to be shown, in order: the open part of the tree, or every key that the filter finds. */
  rows() {
    const rows = []
    const walk = node => {
      for (const name of node.sorted()) {
        const kid = node.kids.get(name)
        if (kid.folder) {
          if (!this.#filter) rows.push(kid)
          if (kid.open || this.#filter) walk(kid)
        } else if (!this.#filter || kid.path.toLowerCase().includes(this.#filter)) rows.push(kid)
      }
    }
    walk(this.root)
    this.restructured = false
    return rows
  }

  toggle(node, open = !node.open) {
    if (!node.folder || node.open === open) return
    node.open = open
    this.restructured = true
  }

  /** choose opens or closes a prefix for good: it stays so when it is made again. */
  choose(node, open = !node.open) {
    this.toggle(node, open)
    this.#choices.delete(node.path)
    this.#choices.set(node.path, open)
    if (this.#choices.size > CHOICES) this.#choices.delete(this.#choices.keys().next().value)
  }

  get choices() { return [...this.#choices] }

  /** reveal opens every prefix above key. */
  reveal(key) {
    for (let n = this.keys.get(key)?.parent; n?.parent; n = n.parent) this.toggle(n, true)
  }
}
