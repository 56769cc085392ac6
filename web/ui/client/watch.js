// ---------------------------------------------------------------- watch

const CHANGES = new Set(['put', 'delete'])

export class Watch {
  /** The position to resume from; undefined until the server has said one. */
  position
  /** 'starting', 'syncing', 'live', 'paused', 'closed'. */
  phase = 'starting'
  error = null
  #source; #key; #query; #handlers; #ended; #queue = []; #wait = null; #held = false; #iterated = false

  constructor(source, key, query, handlers, ended) {
    const { since, ...rest } = query
    this.#source = source
    this.#key = key
    this.#ended = ended
    this.#query = rest
    this.#handlers = typeof handlers === 'function' ? { event: handlers } : handlers ?? null
    this.position = since
    this.#start()
  }

  #start() {
    this.#source.add(this.#key, this.#query, this.position, messages => this.#deliver(messages), err => this.#fail(err))
  }

  /** pause stops the flow on the wire, too; resume continues after the last event handled. */
  pause() {
    if (this.phase === 'closed' || this.phase === 'paused') return
    this.#source.remove(this.#key)
    this.phase = 'paused'
  }

  resume() {
    if (this.phase !== 'paused') return
    this.phase = 'starting'
    this.#start()
  }

  close() {
    if (this.phase === 'closed') return
    this.#source.remove(this.#key)
    this.phase = 'closed'
    this.#ended(this)
    this.#wake()
  }

  #fail(err) {
    this.error = err
    this.phase = 'closed'
    this.#source.remove(this.#key)
    this.#ended(this)
    this.#call('error', err)
    this.#wake()
  }

  /** deliver hands out messages: each alone, and the changes of each revision together. */
  #deliver(messages) {
    let changes = []
    for (const m of messages) {
      if (this.phase === 'paused' || this.phase === 'closed') return
      if (CHANGES.has(m.type)) changes.push(decode(m))
      if (changes.length && (m.pos !== undefined || !CHANGES.has(m.type))) {
        this.#changes(changes.splice(0))
      }
      if (!CHANGES.has(m.type)) this.#single(m)
      if (m.pos !== undefined) this.position = m.pos
    }
    if (changes.length) this.#changes(changes)
  }

  #changes(list) {
    this.#call('batch', list)
    for (const m of list) this.#event(m)
  }

  #single(m) {
    if (m.type === 'reset' || m.type === 'resync') this.phase = 'syncing'
    if (m.type === 'synced') this.phase = 'live'
    this.#event(m)
  }

  #event(m) {
    this.#call(m.type, m)
    this.#call('event', m)
    if (this.#handlers) return
    this.#queue.push(m)
    this.#wake()
    // Not within a state, which would begin again and never end.
    if (this.#queue.length > QUEUE_MAX && !this.#held && this.phase !== 'syncing') this.#hold()
  }

  /** hold stops the flow while an iterator is behind; what is missed is caught up from the position. */
  #hold() {
    this.#held = true
    soon(() => { if (this.phase !== 'closed') this.pause() })
  }

  #call(name, argument) {
    try {
      this.#handlers?.[name]?.(argument)
    } catch (err) {
      report(err)
    }
  }

  #wake() {
    this.#wait?.()
    this.#wait = null
  }

  /** The iterator ends when the watch is closed, and throws what ended it otherwise. */
  async *[Symbol.asyncIterator]() {
    if (this.#handlers || this.#iterated) throw new KeywatchError('usage', 'a watch is read by handlers or by one iterator')
    this.#iterated = true
    try {
      for (;;) {
        while (this.#queue.length) yield this.#queue.shift()
        if (this.#held) {
          this.#held = false
          this.resume()
        }
        if (this.error) throw this.error
        if (this.phase === 'closed') return
        await new Promise(resolve => { this.#wait = resolve })
      }
    } finally {
      this.close()
    }
  }
}
