// ---------------------------------------------------------------- client

export class Keywatch extends EventTarget {
  #places; #fetch; #headers; #credential; #source; #watches = new Set(); #n = 0; #stop = new AbortController()

  constructor({ url, fixed = false, transport = 'auto', share = true, headers, token, user, fetch } = {}) {
    super()
    const own = url === undefined ? globalThis.location?.origin ?? 'http://127.0.0.1:7070' : url
    this.#places = new Places([own].flat().map(baseOf), fixed, base => this.#cluster(base))
    this.#credential = token === undefined ? undefined : new Credential(token)
    this.#fetch = fetchAs(fetch ?? globalThis.fetch.bind(globalThis), this.#credential)
    this.#headers = headers ?? {}
    // A WebSocket cannot carry headers, and who has a credential of its own shares no link.
    if (headers) transport = 'sse'
    const link = (socket, on) => {
      const base = this.#places.base
      const and = {
        ...on,
        open: () => { this.#places.answered(base); on.open() },
        // A server that leaves names others: all that is watched moves to one of them.
        message: (n, o) => {
          if (o.type !== 'bye' || !this.#places.leave(base, o.endpoints)) return on.message(n, o)
          on.ended({ opened: true, error: new KeywatchError('network', `the server said bye (${o.code})`), retry: o.retry_ms, final: false })
        },
        leaving: o => this.#places.leave(base, o.endpoints),
        ended: end => { if (!socket || end.opened) this.#places.failed(base); on.ended(end) },
      }
      return socket ? new SocketLink(base, and, this.#credential) : new StreamLink(base, and, this.#fetch, this.#headers)
    }
    const newHub = onstate => new Hub({ transport, link, renews: this.#credential?.renews }, onstate)
    const onstate = () => this.dispatchEvent(new Event('state'))
    // Tabs of two users never share a link: who they are is part of its name.
    const shares = share && !headers && (token === undefined || user !== undefined) && canShare()
    const name = `keywatch.1:${this.#places.base}:${transport}${user === undefined ? '' : `:${user}`}`
    this.#source = shares ? new Tabs(name, newHub, onstate) : newHub(onstate)
    this.#listen()
  }

  /** {phase, transport?, role?, error?, until?} */
  get state() { return this.#source.state }
  get url() { return this.#places.base }

  #listen() {
    const on = (target, name, fn) => target?.addEventListener?.(name, fn, { signal: this.#stop.signal })
    on(globalThis, 'online', () => this.#source.wake())
    on(globalThis.document, 'visibilitychange', () => document.visibilityState === 'visible' && this.#source.wake())
    // A page in the page cache has no connection; what it watches resumes when it returns.
    on(globalThis, 'pagehide', () => this.#source.leave?.())
    on(globalThis, 'pageshow', e => e.persisted && this.#source.join?.())
  }

  /** wake tries at once what would be tried later. */
  wake() { this.#source.wake() }

  /** ping returns the round trip over the shared link in milliseconds. */
  ping() { return this.#source.ping() }

  watch({ keys, prefixes, mode, interval, state, since } = {}, handlers) {
    const query = { keys, prefixes, mode, interval: typeof interval === 'number' ? `${interval}ms` : interval, state, since }
    if (!keys?.length && !prefixes?.length) throw new KeywatchError('usage', 'keys or prefixes are required; the prefix "" matches every key')
    const watch = new Watch(this.#source, ++this.#n, plain(query), handlers, ended => this.#watches.delete(ended))
    if (watch.phase !== 'closed') this.#watches.add(watch)
    return watch
  }

  mirror({ prefix = '', mode, interval } = {}) {
    return new Mirror(handlers => this.watch({ prefixes: [prefix], mode, interval }, handlers))
  }

  close() {
    this.#stop.abort()
    for (const watch of this.#watches) watch.close()
    this.#watches.clear()
    this.#source.close()
  }

  // -------------------------------------------------------------- commands

  /** get returns the entry, or null if there is none. */
  async get(key, { consistency, signal } = {}) {
    const { found, response, body } = await this.#call('GET', keyPath('kv', key), { query: { consistency }, signal, read: true })
    return found ? Object.assign(decode(body), { etag: response.headers.get('ETag') }) : null
  }

  async put(key, value, options = {}) {
    if (options.ifRev !== undefined) return this.#putAt(key, value, options)
    const { ttl, lease } = options
    return this.#write('PUT', keyPath('kv', key), { ...options, query: { ttl: duration(ttl), lease }, body: valueOf(value) })
  }

  /** putAt swaps by revision, which watches and mirrors tell, where ETags come from get only. */
  async #putAt(key, value, { ifRev, ttl, lease, ...options }) {
    const op = { op: 'put', key, ...encodeValue(value), ttl: duration(ttl), lease }
    const answer = await this.batch({ checks: [{ key, rev: ifRev }], ops: [op] }, options)
    if (!answer.ok) return { ...answer, code: answer.code === 'check_failed' ? 'compare_failed' : answer.code }
    return { ok: true, ...answer.results[0] }
  }

  async cas(key, expected, next, { ttl, lease, ...options } = {}) {
    const bytes = [expected, next].some(v => v !== null && !isText(v))
    const wire = v => v === null ? v : bytes ? toBase64(toBytes(v)) : valueOf(v)
    const body = { expected: wire(expected), new: wire(next), encoding: bytes ? 'base64' : undefined, ttl: duration(ttl), lease }
    return this.#write('POST', keyPath('cas', key), { ...options, body: JSON.stringify(body) })
  }

  async delete(key, options = {}) {
    return this.#write('DELETE', keyPath('kv', key), options)
  }

  /** list returns one page: {entries, next?, position}. */
  async list({ prefix = '', limit, keys, cursor, consistency, signal } = {}) {
    const { body } = await this.#call('GET', '/v1/kv', { query: { prefix, limit, keys: keys ? 1 : undefined, cursor, consistency }, signal, read: true })
    body.entries.forEach(decode)
    return body
  }

  /** scan reads all pages. */
  async *scan(options = {}) {
    for (let cursor; ;) {
      const page = await this.list({ ...options, cursor })
      yield* page.entries
      if (!(cursor = page.next)) return
    }
  }

  async batch(request, options = {}) {
    const wire = op => op.value === undefined ? op : { ...op, ...encodeValue(op.value), ttl: duration(op.ttl) }
    const body = { ...request, checks: request.checks?.map(wire), ops: request.ops?.map(wire), else: request.else?.map(wire) }
    const answer = await this.#write('POST', '/v1/batch', { ...options, body: JSON.stringify(body) })
    answer.results?.forEach(decode)
    return answer
  }

  /** ticket returns a text that opens a watch of these names in a URL, as an EventSource needs it: {ticket, expires_ms}. */
  async ticket({ keys, prefixes, ttl, reuse, origin } = {}) {
    const { body } = await this.#call('POST', '/v1/auth/tickets', { body: JSON.stringify({ keys, prefixes, ttl: duration(ttl), reuse, origin }) })
    return body
  }

  /** write sends a command that may change something. A failed condition is an answer, not an error. */
  async #write(method, path, { ifMatch, ifAbsent, fence, idempotencyKey, ...options }) {
    const headers = {}
    if (ifMatch) headers['If-Match'] = ifMatch
    if (ifAbsent) headers['If-None-Match'] = '*'
    if (fence) headers['If-Fence'] = Object.entries(fence).map(([name, token]) => `${name}=${token}`).join(', ')
    if (idempotencyKey !== false) headers['Idempotency-Key'] = idempotencyKey ?? randomID()
    const { found, response, body, problem } = await this.#call(method, path, { ...options, headers, safe: idempotencyKey !== false })
    const etag = response.headers.get('ETag') ?? undefined
    if (found) return { ok: true, ...body, etag }
    if (problem.current) decode(problem.current)
    const { code, current, index, holder } = problem
    return plainFields({ ok: false, code, current, index, holder, etag })
  }

  /** cluster returns what a server says of the members. */
  async #cluster(base) {
    const response = await this.#fetch(base + '/v1/cluster', { cache: 'no-store', headers: { Accept: 'application/json', ...this.#headers } })
    if (!response.ok) throw await problemOf(response)
    return response.json()
  }

  /**
   * call sends a request, again and again where that is safe: what was surely
   * not applied always, what was perhaps applied only with an idempotency key.
   */
  async #call(method, path, { query, headers, body, signal, read, safe }) {
    const search = new URLSearchParams(Object.entries(query ?? {}).filter(([, value]) => value !== undefined))
    const init = { method, body, signal, cache: 'no-store', headers: { Accept: 'application/json', ...this.#headers, ...headers } }
    for (let tries = 1; ; tries++) {
      let response, err, after
      const base = this.#places.base
      try {
        response = await this.#fetch(new URL(base + path + (search.size ? `?${search}` : '')), init)
        if (response.ok) this.#places.answered(base)
        if (response.ok) return { found: true, response, body: response.status === 204 ? {} : await response.json() }
        err = await problemOf(response)
      } catch (cause) {
        if (signal?.aborted) throw signal.reason
        err = new KeywatchError('network', cause.message, { cause })
      }
      if (err.status === 404 && err.code === 'key_not_found' || err.status === 412) return { found: false, response, problem: err }
      const sure = err.status === 429 || err.status === 503
      if (err.status !== 429) this.#places.failed(base)
      if (tries >= TRIES + this.#places.length - 1 || !(sure || (read || safe) && (err.code === 'network' || err.status === 504))) throw err
      if (tries < this.#places.length && err.status !== 429) continue // another server may do it at once
      after = Number(response?.headers.get('Retry-After')) * 1000 || 0
      await sleep(Math.max(after, backoff(tries - 1)), signal)
    }
  }
}

/** baseOf returns the address of a server: its origin, and the path below which a proxy has it. */
function baseOf(url) {
  const { origin, pathname } = new URL(url, globalThis.location?.href)
  return origin + pathname.replace(/\/+$/, '')
}

const duration = value => typeof value === 'number' ? `${value}ms` : value

const plainFields = o => Object.fromEntries(Object.entries(o).filter(([, value]) => value !== undefined))

/** keyPath refuses what a browser would turn into another path before it is sent. */
function keyPath(route, key) {
  if (!isText(key) || key.split('/').some(part => part === '' || part === '.' || part === '..')) {
    throw new KeywatchError('bad_key', 'a key has no empty, "." or ".." segment')
  }
  if (!isWellFormed(key)) throw new KeywatchError('bad_key', 'a key is well-formed text')
  return `/v1/${route}/${encodeURIComponent(key)}`
}
