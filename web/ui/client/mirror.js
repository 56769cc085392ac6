// ---------------------------------------------------------------- mirror

export class Mirror {
  /** The position that the copy stands at. */
  position
  /** Resolves when the copy is complete for the first time. */
  ready
  #entries = new Map(); #fill = null; #full = false; #listeners = new Set(); #watch; #done; #refuse

  constructor(start) {
    this.ready = new Promise((resolve, reject) => { this.#done = resolve; this.#refuse = reject })
    this.ready.catch(() => {}) // the caller that awaits it gets the error
    this.#watch = start({
      reset: () => this.#begin(true),
      resync: () => this.#begin(false),
      batch: changes => this.#batch(changes),
      event: m => { if (m.pos !== undefined && !this.#fill) this.position = m.pos },
      synced: m => this.#synced(m.pos),
      error: err => this.#refuse(err),
    })
  }

  get(key) { return this.#entries.get(key) }
  has(key) { return this.#entries.has(key) }
  get size() { return this.#entries.size }
  keys() { return this.#entries.keys() }
  values() { return this.#entries.values() }
  entries() { return this.#entries.entries() }
  forEach(fn, self) { this.#entries.forEach((entry, key) => fn.call(self, entry, key, this)) }
  [Symbol.iterator]() { return this.#entries.entries() }

  get phase() { return this.#watch.phase }
  get error() { return this.#watch.error }

  /** onchange calls fn({changes, cause, position}) after each step of the copy; returns what ends that. */
  onchange(fn) {
    this.#listeners.add(fn)
    return () => this.#listeners.delete(fn)
  }

  pause() { this.#watch.pause() }
  resume() { this.#watch.resume() }
  close() {
    this.#watch.close()
    this.#refuse(new KeywatchError('closed', 'the mirror was closed'))
  }

  /** begin collects a state beside the copy, which stays as it is until that is complete. */
  #begin(full) {
    this.#fill = new Map()
    this.#full = full
  }

  #batch(changes) {
    if (this.#fill) {
      for (const e of changes) this.#fill.set(e.key, e.type === 'put' ? e : null)
      return
    }
    this.#apply(changes.map(e => [e.key, e.type === 'put' ? e : null]), 'change', changes.at(-1).pos)
  }

  #synced(position) {
    const fill = this.#fill
    this.#fill = null
    if (fill && this.#full) {
      for (const key of this.#entries.keys()) if (!fill.has(key)) fill.set(key, null)
    }
    if (fill) this.#apply(fill, this.#full ? 'reset' : 'resync', position)
    this.position = position ?? this.position
    this.#done(this)
  }

  #apply(next, cause, position) {
    const changes = []
    for (const [key, e] of next) {
      const before = this.#entries.get(key)
      const after = e ? entryOf(e) : undefined
      if (after ? before && same(before, after) : !before) continue
      if (after) this.#entries.set(key, after)
      else this.#entries.delete(key)
      changes.push({ key, before, after })
    }
    if (position !== undefined) this.position = position
    if (!changes.length) return
    for (const fn of [...this.#listeners]) {
      try {
        fn({ changes, cause, position: this.position })
      } catch (err) {
        report(err)
      }
    }
  }
}

const entryOf = ({ type, pos, ...entry }) => entry

/** same compares what matters: another history may have the same revision for another value. */
const same = (a, b) => a.rev === b.rev && a.version === b.version && a.create_rev === b.create_rev &&
  typeof a.value === typeof b.value && String(a.value) === String(b.value)
