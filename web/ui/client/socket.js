// ---------------------------------------------------------------- links
//
// A link tells its hub: open(), message(n, object), bookmark(pos), refused(n,
// error, retry), and once ended({opened, error, retry, final}). n is what
// subscribe returned; it is never used twice on a link. leaving(object) comes before ended where the server
// names others.

class SocketLink {
  transport = 'websocket'
  heard = Date.now()
  #socket; #on; #n = 0; #opened = false; #over = false; #pings = new Map(); #retry; #watchdog; #pinged = 0
  #credential; #said; #proof = 0; #proved = false; #again = false

  constructor(base, on, credential) {
    this.#on = on
    this.#credential = credential
    this.#socket = new WebSocket(base.replace(/^http/, 'ws') + '/v1/ws', ['keywatch.v1.ndjson', 'keywatch.v1.json'])
    this.#socket.onopen = () => {
      this.heard = Date.now()
      if (credential) this.#prove(false)
      else on.open()
    }
    this.#socket.onmessage = ({ data }) => this.#frame(data)
    this.#socket.onclose = ({ code, reason }) => this.#end(code, reason)
    // The first interval is jittered, so that tabs opened together do not ping together.
    this.#watchdog = setInterval(() => this.check(SILENCE, ANSWER_TIMEOUT), 4000 + Math.random() * 2000)
  }

  #send(frame) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame))
  }

  subscribe(query, since) {
    const id = ++this.#n
    this.#send({ id, op: 'watch', ...query, ...(since ? { since, state: undefined } : {}) })
    return id
  }

  unsubscribe(n) { this.#send({ id: ++this.#n, op: 'unwatch', watch: n }) }

  /** ping resolves with the round trip in milliseconds. */
  ping() {
    const id = ++this.#n
    return new Promise((resolve, reject) => {
      this.#pings.set(id, { resolve, reject, sent: performance.now() })
      this.#send({ id, op: 'ping' })
    })
  }

  /** check pings a link that was silent for longer than silence, and ends it if there is no answer. */
  check(silence, timeout) {
    const quiet = Date.now() - this.heard
    if (this.#pinged && Date.now() - this.#pinged > timeout) return this.#end(4000, 'no answer to a ping')
    if (!this.#pinged && quiet > silence) {
      this.#pinged = Date.now()
      this.ping().catch(() => {})
      setTimeout(() => this.#pinged && this.check(silence, timeout), timeout + 50)
    }
  }

  /** prove says who the page is: when the socket opens and, with another credential, when what it said ends. */
  async #prove(another) {
    try {
      this.#said = await (another ? this.#credential.renew(this.#said) : this.#credential.get())
      if (!this.#over) this.#send({ id: this.#proof = ++this.#n, op: 'auth', token: this.#said })
    } catch (err) { // no token is to be had, which says nothing about the socket
      this.#opened = true
      this.#give(err, !this.#credential.renews)
    }
  }

  #isProved(error) {
    this.#proof = 0
    if (!error) {
      this.#again = false
      if (!this.#proved) this.#on.open()
      this.#proved = true
    } else if (error.status === 401 && this.#credential.renews && !this.#again) {
      this.#again = true
      this.#prove(true)
    } else this.#give(failed(error), true)
  }

  #frame(data) {
    this.#opened = true // a socket through which nothing comes is not open, whatever a proxy says
    this.heard = Date.now()
    this.#pinged = 0
    for (const line of data.split('\n')) {
      if (line) this.#object(JSON.parse(line))
    }
  }

  #object(o) {
    if (o.id !== undefined) return this.#answer(o)
    if (o.type === 'progress' && o.watch === undefined) return this.#on.bookmark(o.pos)
    if (o.type === 'bye' && o.watch === undefined) {
      this.#retry = o.retry_ms
      this.#on.leaving?.(o)
      return this.#end(1012, o.code)
    }
    if (o.watch !== undefined) this.#on.message(o.watch, o)
    // What it said is about to end, or has.
    else if ((o.type === 'auth' || o.type === 'denied') && this.#credential?.renews && !this.#proof) this.#prove(true)
  }

  #answer({ id, error }) {
    const ping = this.#pings.get(id)
    if (ping) {
      this.#pings.delete(id)
      return error ? ping.reject(failed(error)) : ping.resolve(performance.now() - ping.sent)
    }
    if (id === this.#proof) return this.#isProved(error)
    if (error) this.#on.refused(id, failed(error), error.retry_ms)
  }

  #end(code, reason) {
    const ended = code === UNAUTHENTICATED && this.#credential
    const error = new KeywatchError(ended ? 'denied' : 'network', reason || `socket closed with ${code}`, { close: code })
    this.#give(error, !reconnects(code) && !(ended && this.#credential.renews))
  }

  #give(error, final) {
    if (this.#over) return
    this.close()
    this.#on.ended({ opened: this.#opened, error, retry: this.#retry, final })
  }

  close() {
    this.#over = true
    clearInterval(this.#watchdog)
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null
    this.#socket.close()
    for (const ping of this.#pings.values()) ping.reject(new KeywatchError('network', 'the link ended'))
    this.#pings.clear()
  }
}

/** The code that a socket is closed with whose credential has ended. */
const UNAUTHENTICATED = 3501

const failed = problem => new KeywatchError(problem.code ?? 'internal', problem.detail, problem)
