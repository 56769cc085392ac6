class StreamLink {
  transport = 'sse'
  heard = Date.now()
  #base; #on; #fetch; #headers; #n = 0; #over = false; #opened = false; #streams = new Map(); #watchdog

  constructor(base, on, fetch, headers) {
    this.#base = base
    this.#on = on
    this.#fetch = fetch
    this.#headers = headers
    this.#watchdog = setInterval(() => this.check(SILENCE, ANSWER_TIMEOUT), 5000)
    // Open means that the server answers: streams are there only once something is watched.
    this.ping().then(() => {
      if (this.#over) return
      this.#opened = true
      on.open()
    }, err => this.#end(err))
  }

  subscribe(query, since) {
    const n = ++this.#n
    this.#run(n, { ...query, ...(since ? { since, state: undefined } : {}) })
    return n
  }

  unsubscribe(n) {
    this.#streams.get(n)?.abort.abort()
    this.#streams.delete(n)
  }

  async ping() {
    const sent = performance.now()
    const response = await this.#fetch(this.#base + '/healthz', { headers: this.#headers, cache: 'no-store' })
    await response.text()
    if (!response.ok) throw new KeywatchError('network', `health check answered ${response.status}`)
    return performance.now() - sent
  }

  check(silence, timeout) {
    // A stream says something every 15 s; one that does not is dead, whatever the socket thinks.
    for (const stream of this.#streams.values()) {
      if (Date.now() - stream.heard > silence + timeout) return this.#end(new KeywatchError('network', 'a stream fell silent'))
    }
    if (silence >= SILENCE) return
    const late = new Promise((_, reject) => setTimeout(reject, timeout, new KeywatchError('network', 'no answer')))
    Promise.race([this.ping(), late]).catch(err => this.#end(err))
  }

  async #run(n, query) {
    const stream = { abort: new AbortController(), heard: Date.now(), retry: undefined, bye: false }
    this.#streams.set(n, stream)
    try {
      const response = await this.#fetch(this.#base + '/v1/watch', {
        method: 'POST', cache: 'no-store', signal: stream.abort.signal, body: JSON.stringify(query),
        headers: { ...this.#headers, Accept: 'text/event-stream', 'Content-Type': 'application/json' },
      })
      if (!response.ok) return this.#refused(n, response)
      await this.#read(n, stream, response.body)
    } catch (err) {
      if (stream.abort.signal.aborted) return
      return this.#end(new KeywatchError('network', err.message), stream.retry)
    }
    // A stream that ends without a bye was cut: by a proxy, or with the server.
    if (this.#streams.delete(n) && !stream.bye) this.#end(new KeywatchError('network', 'the stream was cut'), stream.retry)
  }

  async #refused(n, response) {
    this.#streams.delete(n)
    const after = Number(response.headers.get('Retry-After')) * 1000 || undefined
    this.#on.refused(n, await problemOf(response), after)
  }

  async #read(n, stream, body) {
    const parser = new EventParser(({ data, id }) => {
      const o = JSON.parse(data)
      if (id !== undefined) o.pos = id
      if (o.type === 'bye') stream.bye = true
      if (this.#streams.has(n)) this.#on.message(n, o)
    }, ms => { stream.retry = ms })
    const text = new TextDecoder()
    for (const reader = body.getReader(); ;) {
      const { done, value } = await reader.read()
      if (done) return
      this.heard = stream.heard = Date.now()
      parser.push(text.decode(value, { stream: true }))
    }
  }

  #end(error, retry) {
    if (this.#over) return
    this.close()
    this.#on.ended({ opened: this.#opened, error, retry, final: false })
  }

  close() {
    this.#over = true
    clearInterval(this.#watchdog)
    for (const stream of this.#streams.values()) stream.abort.abort()
    this.#streams.clear()
  }
}

async function problemOf(response) {
  const problem = await response.json().catch(() => ({}))
  return new KeywatchError(problem.code ?? `http_${response.status}`, problem.detail ?? response.statusText, { ...problem, status: response.status })
}
