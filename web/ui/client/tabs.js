// ---------------------------------------------------------------- tabs

/**
 * Tabs lets all tabs of an origin share one link. The tab that holds the lock
 * named after the server leads: it runs the Hub. A tab that dies releases its locks,
 * so the next leads, and the leader learns which subscriptions are orphans.
 */
class Tabs {
  state = { phase: 'idle' }
  #name; #newHub; #onstate; #mine = new Map(); #hub = null; #leader = null; #heard = 0; #asked = 0
  #id; #bus; #inbox; #away; #release = null; #peers = new Map(); #watchdog; #pongs = new Map()

  constructor(name, newHub, onstate) {
    this.#name = name
    this.#newHub = newHub
    this.#onstate = onstate
    this.join()
  }

  add(key, query, pos, deliver, fail) {
    // The position is kept here, in the tab that the subscription belongs to.
    const sub = { query, pos, fail, deliver: messages => {
      for (const m of messages) if (m.pos !== undefined) sub.pos = m.pos
      deliver(messages)
    } }
    this.#mine.set(key, sub)
    this.#register(key, sub)
  }

  remove(key) {
    this.#mine.delete(key)
    if (this.#hub) this.#hub.remove(`${this.#id}:${key}`)
    else this.#say({ type: 'drop', leader: this.#leader, key })
  }

  async ping() {
    if (this.#hub) return this.#hub.ping()
    const n = Math.random(), sent = performance.now()
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => { this.#pongs.delete(n); reject(new KeywatchError('network', 'no answer')) }, ANSWER_TIMEOUT)
      this.#pongs.set(n, ok => { clearTimeout(timer); ok ? resolve() : reject(new KeywatchError('network', 'not connected')) })
      this.#say({ type: 'ping', leader: this.#leader, n })
    })
    return performance.now() - sent
  }

  wake() {
    if (this.#hub) return this.#hub.wake()
    this.#say({ type: 'wake', leader: this.#leader })
    this.#ask(WAKE_TIMEOUT)
  }

  /** join takes part: at the start, and again when a page returns from the page cache. */
  async join() {
    if (this.#bus) return
    this.#id = randomID()
    this.#away = new AbortController()
    this.#bus = new BroadcastChannel(this.#name)
    this.#inbox = new BroadcastChannel(`${this.#name}:${this.#id}`)
    this.#bus.onmessage = ({ data }) => this.#overheard(data)
    this.#inbox.onmessage = ({ data }) => this.#told(data)
    this.#watchdog = setInterval(() => {
      if (!this.#hub && this.#leader && Date.now() - this.#heard > LEADER_SILENCE) this.#ask(LEADER_TIMEOUT)
    }, 5000)
    const { signal } = this.#away
    // Own lock first: the leader waits for it to learn of this tab's end.
    const refused = await new Promise(done => this.#lock(`${this.#name}:${this.#id}`, {}, () => { done(); return aborted(signal) }).then(done))
    if (signal.aborted) return
    if (refused) return void this.#lead(signal) // a page that may not lock, such as a sandboxed one, leads itself
    this.#queue(signal)
    this.#say({ type: 'who' })
  }

  /** leave gives everything up, so that another tab leads. */
  leave() {
    if (!this.#bus) return
    this.#demote()
    this.#leader = null
    this.#away.abort()
    clearInterval(this.#watchdog)
    this.#bus.close()
    this.#inbox.close()
    this.#bus = this.#inbox = null
  }

  close() {
    this.leave()
    this.#mine.clear()
    this.#set({ phase: 'closed' })
  }

  #set(state) {
    this.state = { ...state, role: this.#hub ? 'leader' : 'follower' }
    this.#onstate?.(this.state)
  }

  #say(message) { this.#bus?.postMessage({ ...message, tab: this.#id }) }

  #lock(name, options, held) {
    return navigator.locks.request(name, { signal: options.steal ? undefined : this.#away.signal, ...options }, held).catch(err => err)
  }

  /** queue waits to lead, for as long as it takes. */
  #queue(signal, steal = false) {
    if (signal.aborted || this.#release) return
    this.#lock(this.#name, steal ? { steal } : {}, () => signal.aborted || this.#release ? null : this.#lead(signal)).then(err => {
      // Another tab stole the lock because this one seemed dead: follow it.
      if (!(err instanceof Error) || signal.aborted || !this.#hub) return
      this.#demote()
      this.#queue(signal)
      this.#say({ type: 'who' })
    })
  }

  #lead(signal) {
    this.#leader = this.#id
    this.#hub = this.#newHub(state => {
      this.#set(state)
      this.#say({ type: 'state', leader: this.#id, state: plain(state) })
    })
    this.#say({ type: 'lead', leader: this.#id })
    this.#set(this.#hub.state)
    for (const [key, sub] of this.#mine) this.#register(key, sub)
    return new Promise(release => {
      this.#release = release
      signal.addEventListener('abort', release, { once: true })
    })
  }

  #demote() {
    for (const peer of this.#peers.values()) this.#forget(peer)
    this.#hub?.close()
    this.#hub = null
    this.#release?.()
    this.#release = null
  }

  #register(key, sub) {
    if (this.#hub) this.#hub.add(`${this.#id}:${key}`, sub.query, sub.pos, sub.deliver, sub.fail)
    else if (this.#leader) this.#say({ type: 'add', leader: this.#leader, key, query: sub.query, pos: sub.pos })
  }

  /** ask expects a sign of life from the leader, and takes its place if none comes. */
  async #ask(timeout) {
    if (this.#asked || !this.#leader || this.#hub) return
    const { signal } = this.#away
    this.#asked = Date.now()
    this.#say({ type: 'alive', leader: this.#leader })
    await sleep(timeout)
    const silent = this.#heard < this.#asked
    this.#asked = 0
    if (silent && !this.#hub) this.#queue(signal, true)
  }

  #overheard(m) {
    switch (m.type) {
      case 'lead':
        if (this.#leader === m.leader || this.#hub) return
        this.#leader = m.leader
        this.#heard = Date.now()
        for (const [key, sub] of this.#mine) this.#register(key, sub)
        return
      case 'state':
        if (m.leader === this.#leader && !this.#hub) this.#hear(() => this.#set(m.state))
        return
      case 'who':
        if (!this.#hub) return
        this.#say({ type: 'lead', leader: this.#id })
        this.#say({ type: 'state', leader: this.#id, state: plain(this.#hub.state) })
        return
    }
    if (this.#hub && m.leader === this.#id) this.#serve(m)
  }

  /** serve does for another tab what its message asks of the leader. */
  #serve(m) {
    const peer = this.#peer(m.tab)
    const name = `${m.tab}:${m.key}`
    const answer = message => peer.channel.postMessage({ ...message, leader: this.#id })
    switch (m.type) {
      case 'add':
        peer.subs.add(name)
        return this.#hub.add(name, m.query, m.pos,
          messages => answer({ type: 'events', key: m.key, messages }),
          err => answer({ type: 'failed', key: m.key, error: plain(err) }))
      case 'drop':
        peer.subs.delete(name)
        return this.#hub.remove(name)
      case 'alive': return answer({ type: 'here' })
      case 'wake': return this.#hub.wake()
      case 'ping': return this.#hub.ping().then(() => answer({ type: 'pong', n: m.n, ok: true }), () => answer({ type: 'pong', n: m.n, ok: false }))
    }
  }

  /** peer returns what the leader knows of another tab, until that tab's own lock is free. */
  #peer(tab) {
    let peer = this.#peers.get(tab)
    if (peer) return peer
    peer = { tab, subs: new Set(), channel: new BroadcastChannel(`${this.#name}:${tab}`), stop: new AbortController() }
    this.#peers.set(tab, peer)
    this.#lock(`${this.#name}:${tab}`, { signal: peer.stop.signal }, () => this.#forget(peer))
    return peer
  }

  #forget(peer) {
    if (!this.#peers.delete(peer.tab)) return
    peer.stop.abort()
    peer.channel.close()
    for (const name of peer.subs) this.#hub?.remove(name)
  }

  #hear(fn) {
    this.#heard = Date.now()
    fn?.()
  }

  /** told handles what the leader sends to this tab; what a former one sent is not listened to. */
  #told(m) {
    if (m.leader !== this.#leader || this.#hub) return
    this.#heard = Date.now()
    if (m.type === 'events') this.#mine.get(m.key)?.deliver(m.messages)
    else if (m.type === 'failed') this.#mine.get(m.key)?.fail(new KeywatchError(m.error.code, m.error.detail, m.error))
    else if (m.type === 'pong') {
      this.#pongs.get(m.n)?.(m.ok)
      this.#pongs.delete(m.n)
    }
  }
}

/** plain is what can be sent of a state or an error. */
const plain = o => JSON.parse(JSON.stringify(o))

const aborted = signal => new Promise(resolve => signal.aborted ? resolve() : signal.addEventListener('abort', resolve, { once: true }))

const canShare = () => Boolean(globalThis.navigator?.locks?.request && globalThis.BroadcastChannel)
