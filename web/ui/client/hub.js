// ---------------------------------------------------------------- hub

/**
 * A Hub keeps one link up and every subscription going on it. deliver gets
 * arrays of messages, in which a live revision is never in two parts.
 */
export class Hub {
  state = { phase: 'idle' }
  #options; #onstate; #subs = new Map(); #byLink = new Map(); #link = null; #tries = 0; #timer; #openedAt = 0
  #socketFailed = 0; #upgrade; #probe

  constructor(options, onstate) {
    this.#options = options
    this.#onstate = onstate
  }

  /** add starts a subscription after pos, or from query's beginning. fail gets what ends it for good. */
  add(key, query, pos, deliver, fail) {
    this.remove(key)
    const sub = { key, query, pos, deliver, fail, n: 0, live: false, group: [], out: [], tries: 0, timer: 0 }
    this.#subs.set(key, sub)
    if (this.state.phase === 'open') this.#subscribe(sub)
    else if (this.state.phase === 'idle') this.#connect()
    else if (this.state.phase === 'closed') fail(this.state.error)
  }

  remove(key) {
    const sub = this.#subs.get(key)
    if (!sub) return
    this.#subs.delete(key)
    clearTimeout(sub.timer)
    if (sub.n && this.#link) this.#link.unsubscribe(sub.n)
    this.#byLink.delete(sub.n)
    sub.out = null
  }

  async ping() {
    if (this.state.phase !== 'open') throw new KeywatchError('network', 'not connected')
    return this.#link.ping()
  }

  /** wake makes up for timers that slept: it looks at once whether the link lives, or tries again. */
  wake() {
    if (this.state.phase === 'waiting') this.#connect()
    else if (this.state.phase === 'open' && Date.now() - this.#link.heard > 2000) this.#link.check(2000, WAKE_TIMEOUT)
  }

  close() {
    this.#drop()
    clearTimeout(this.#timer)
    for (const key of [...this.#subs.keys()]) this.remove(key)
    this.#set({ phase: 'closed', error: new KeywatchError('closed', 'this client was closed') })
  }

  #set(state) {
    this.state = { transport: this.#link?.transport, ...state }
    this.#onstate?.(this.state)
  }

  #drop() {
    clearInterval(this.#upgrade)
    this.#probe?.close()
    this.#link?.close()
    this.#link = this.#probe = null
    this.#byLink.clear()
    for (const sub of this.#subs.values()) this.#cut(sub)
  }

  /** cut forgets the part of a revision that came: it will come again, whole. */
  #cut(sub) {
    sub.n = 0
    sub.group = []
    sub.live = sub.state = false
    clearTimeout(sub.timer)
  }

  #connect() {
    clearTimeout(this.#timer)
    this.#drop()
    this.#set({ phase: 'connecting' })
    this.#openedAt = 0
    this.#try(this.#wantsSocket())
  }

  #wantsSocket() {
    const { transport } = this.#options
    return transport === 'websocket' || transport !== 'sse' && Date.now() - this.#socketFailed > RETRY_SOCKET
  }

  #try(socket) {
    const on = {
      open: () => link === this.#link && this.#opened(),
      message: (n, o) => { const sub = this.#byLink.get(n); if (sub && link === this.#link) this.#message(sub, o) },
      bookmark: pos => link === this.#link && this.#bookmark(pos),
      refused: (n, err, retry) => { const sub = this.#byLink.get(n); if (sub && link === this.#link) this.#refused(sub, err, retry) },
      ended: end => link === this.#link && this.#ended(end, socket),
    }
    let link = null
    try {
      link = this.#options.link(socket, on)
    } catch (err) { // no WebSocket here, or a page that forbids it
      return socket && this.#options.transport !== 'websocket' ? this.#try(false) : this.#wait(err)
    }
    this.#link = link
  }

  #opened() {
    this.#openedAt = Date.now()
    this.#set({ phase: 'open' })
    for (const sub of this.#subs.values()) this.#subscribe(sub)
    if (this.#link.transport === 'sse' && this.#options.transport !== 'sse') {
      this.#upgrade = setInterval(() => this.#tryUpgrade(), RETRY_SOCKET)
    }
  }

  /** tryUpgrade opens a WebSocket beside the event streams and changes over once it is open. */
  #tryUpgrade() {
    this.#probe?.close()
    const done = () => { this.#probe?.close(); this.#probe = null }
    this.#probe = this.#options.link(true, { open: () => { this.#socketFailed = 0; this.#connect() }, ended: done })
  }

  #subscribe(sub) {
    if (sub.n) this.#byLink.delete(sub.n)
    this.#cut(sub)
    sub.n = this.#link.subscribe(sub.query, sub.pos)
    this.#byLink.set(sub.n, sub)
  }

  #message(sub, o) {
    switch (o.type) {
      case 'bye': return this.#later(sub, o.retry_ms)
      case 'denied':
        // With another credential it continues where it is, unless the user may not have it any more.
        if (this.#options.renews && o.code !== 'narrowed') return this.#later(sub)
        return this.#fail(sub, new KeywatchError('denied', o.code === 'narrowed' ? 'the permission has ended' : 'the credential ended'))
      case 'reset': case 'resync': sub.live = false; break
      case 'synced':
        sub.live = true
        sub.tries = 0
    }
    delete o.watch
    delete o.more
    // A change belongs to a revision, whose last event has the position; those of a state have none.
    if (o.pos === undefined && this.#grouped(sub, o)) return sub.group.push(o)
    if (o.pos !== undefined) sub.pos = o.pos
    this.#out(sub, sub.group.length ? [...sub.group.splice(0), o] : [o])
  }

  // Events of a state come between reset or resync and synced; what a resume
  // replays comes before synced too, but in revisions, of which it says so.
  #grouped(sub, o) {
    if (o.type === 'reset' || o.type === 'resync') sub.state = true
    if (o.type === 'synced') sub.state = false
    return (o.type === 'put' || o.type === 'delete') && !sub.state
  }

  #out(sub, messages) {
    sub.out.push(...messages)
    if (sub.out.length > messages.length) return // a delivery is on its way
    soon(() => {
      if (sub.out?.length) sub.deliver(sub.out.splice(0))
    })
  }

  #bookmark(pos) {
    for (const sub of this.#subs.values()) {
      if (!sub.live || sub.group.length) continue
      sub.pos = pos
      this.#out(sub, [{ type: 'progress', pos }])
    }
  }

  #refused(sub, err, retry) {
    if (TRANSIENT.has(err.code) || err.status >= 500) this.#later(sub, retry)
    else this.#fail(sub, err)
  }

  /** later subscribes again after a while: the link is well, this watch was sent away. */
  #later(sub, retry) {
    this.#byLink.delete(sub.n)
    this.#cut(sub)
    sub.timer = setTimeout(() => this.state.phase === 'open' && this.#subscribe(sub), Math.max(retry ?? 0, backoff(sub.tries++)))
  }

  #fail(sub, err) {
    this.remove(sub.key)
    sub.fail(err)
  }

  #ended({ opened, error, retry, final }, socket) {
    if (final) {
      const subs = [...this.#subs.values()]
      this.#drop()
      this.#set({ phase: 'closed', error })
      return subs.forEach(sub => this.#fail(sub, error))
    }
    if (socket && !opened && this.#options.transport !== 'websocket') {
      // Perhaps only WebSockets cannot pass: the same attempt continues with streams.
      this.#socketFailed = Date.now()
      this.#drop()
      return this.#try(false)
    }
    if (!opened) this.#socketFailed = 0 // nothing passes, so nothing was learnt about WebSockets
    this.#wait(error, retry)
  }

  #wait(error, retry) {
    if (this.#openedAt && Date.now() - this.#openedAt > STABLE) this.#tries = 0
    this.#drop()
    const delay = retry ?? backoff(this.#tries)
    this.#tries++
    this.#set({ phase: 'waiting', error, until: Date.now() + delay })
    this.#timer = setTimeout(() => this.#connect(), delay)
  }
}
