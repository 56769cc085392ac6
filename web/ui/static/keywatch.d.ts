// Types of keywatch.js, and what everything in it means.

/** An error with the code that the server gave it. Codes of its own: `network`, `closed`, `usage`, `bad_key`, `bad_value`, `denied`. */
export class KeywatchError extends Error {
  constructor(code: string, detail?: string, more?: object)
  code: string
  /** HTTP status; 0 where there was none. */
  status: number
  detail?: string
  limit?: number
}

/** A key's value: text, or bytes where it is not UTF-8. */
export type Value = string | Uint8Array

export interface Entry {
  key: string
  /** Absent in a list of keys and in mode `keys`. */
  value: Value
  /** Revision of the last change. Compare it with revisions of the same key or batch only. */
  rev: number
  /** Revision of the creation. */
  create_rev: number
  /** 1 at creation, one more with each change: a jump proves that a change was left out. */
  version: number
  /** Time to live in ms, as it was when this was sent. */
  ttl_ms?: number
  /** When that ends, on this machine's clock, in ms since 1970. */
  expires?: number
  lease?: string
  tier?: 'memory' | 'disk' | 'object'
  /** From get only. */
  etag?: string
}

export interface Put extends Entry { type: 'put'; pos?: string; /** Changes of the key left out before this one, in mode `latest`. */ skipped?: number }
export interface Delete { type: 'delete'; key: string; cause: 'deleted' | 'expired' | 'lease'; rev: number; create_rev: number; version: number; pos?: string }
/** `reset`: forget everything, the full state follows. `resync`: what changed follows, newest versions only. Both end with `synced`. */
export interface Mark { type: 'reset' | 'resync' | 'synced' | 'progress'; pos?: string }
export type Change = Put | Delete
export type Message = Change | Mark

export interface Query {
  keys?: string[]
  /** The prefix "" is everything. */
  prefixes?: string[]
  /** `all` (default): every change. `latest`: the newest of each key, at most once an interval. `keys`: without values. */
  mode?: 'all' | 'latest' | 'keys'
  /** With mode `latest`: ms, or text such as "100ms". */
  interval?: number | string
  /** false: no state first, live only. */
  state?: boolean
  /** Resume after this position. */
  since?: string
}

/** Each may be left out. What one throws is reported and changes nothing. */
export interface Handlers {
  /** The changes of one revision, whole; of a state, some of them. Called before the ones below. */
  batch?(changes: Change[]): void
  put?(e: Put): void
  delete?(e: Delete): void
  reset?(m: Mark): void
  resync?(m: Mark): void
  synced?(m: Mark): void
  progress?(m: Mark): void
  /** Everything, in order. */
  event?(m: Message): void
  /** The watch has ended for good; what only time cures is waited for instead. */
  error?(err: KeywatchError): void
}

/**
 * A watch continues through lost connections, restarts and tabs that die:
 * in order, no revision in part, nothing twice, nothing left out without a
 * `resync` or `reset`. Without handlers it is read by one `for await`, which may
 * be 10,000 messages behind; then the flow stops until it has caught up.
 */
export interface Watch extends AsyncIterable<Message> {
  /** Where to resume; handlers see it move after they have run. */
  readonly position?: string
  readonly phase: 'starting' | 'syncing' | 'live' | 'paused' | 'closed'
  readonly error: KeywatchError | null
  /** Stops the flow on the wire too. */
  pause(): void
  /** Continues after the last message that was delivered. */
  resume(): void
  close(): void
}

export interface Step {
  changes: { key: string; before?: Entry; after?: Entry }[]
  /** `change` is one revision; `reset` and `resync` are many at once, as a difference. */
  cause: 'change' | 'reset' | 'resync'
  position?: string
}

/**
 * An exact copy of the keys that begin with a prefix. It moves from revision to
 * revision, never through half of one, and stays as it is while a new state is
 * on its way. Read it like a Map; its entries belong to the mirror.
 */
export interface Mirror extends Iterable<[string, Entry]> {
  /** Fails if the watch is refused, or closed before. */
  readonly ready: Promise<Mirror>
  readonly position?: string
  readonly phase: Watch['phase']
  readonly error: KeywatchError | null
  readonly size: number
  get(key: string): Entry | undefined
  has(key: string): boolean
  keys(): IterableIterator<string>
  values(): IterableIterator<Entry>
  entries(): IterableIterator<[string, Entry]>
  forEach(fn: (entry: Entry, key: string, mirror: Mirror) => void, self?: unknown): void
  /** Calls fn after each step; the function returned ends that. */
  onchange(fn: (step: Step) => void): () => void
  pause(): void
  resume(): void
  close(): void
}

export interface WriteOptions {
  /** Tokens of locks that must still be held, by name. */
  fence?: Record<string, number>
  /** One is made for each call, so that a retry is applied once. false: none, and no retry of what may have been applied. */
  idempotencyKey?: string | false
  signal?: AbortSignal
}

export interface PutOptions extends WriteOptions {
  /** ms, text such as "30s", or "keep". */
  ttl?: number | string
  lease?: string
  /** At most one of these three. */
  ifMatch?: string
  ifAbsent?: boolean
  /** As watches and mirrors tell it; 0 is absent. */
  ifRev?: number
}

export interface Written { ok: true; rev: number; version: number; created: boolean; etag?: string }
/** A condition did not hold and nothing was changed. */
export interface Refused { ok: false; code: 'compare_failed' | 'check_failed' | 'fence_lost' | 'key_not_found'; current?: Entry | null; holder?: Entry | null; index?: number; etag?: string }

export interface BatchRequest {
  checks?: ({ key: string; rev?: number; create_rev?: number; version?: number; exists?: boolean; value?: Value } | { lock: string; token: number })[]
  ops: Op[]
  else?: Op[]
}
export type Op = { op: 'put'; key: string; value: Value; ttl?: number | string; lease?: string } | { op: 'get' | 'delete'; key: string }

export interface State {
  phase: 'idle' | 'connecting' | 'open' | 'waiting' | 'closed'
  transport?: 'websocket' | 'sse'
  /** Absent where tabs do not share. */
  role?: 'leader' | 'follower'
  error?: { code: string; message?: string }
  /** While waiting: when it is tried again, in ms since 1970. */
  until?: number
}

export interface Options {
  /** The server, with its path where a proxy has it below one: `https://example.com/kw/`, or `/kw/` on the page's origin. By default the origin of the page. */
  url?: string | string[]
  /**
   * Uses no other server than those of `url`. By default the members of their cluster are learned, and used once they
   * have answered: while one fails the next is asked, with the same idempotency key and from the same position.
   */
  fixed?: boolean
  /** `auto`: a WebSocket, and event streams where none opens. */
  transport?: 'auto' | 'websocket' | 'sse'
  /** false: a connection of its own instead of one for all tabs of the origin. */
  share?: boolean
  /** Sent with every request, such as Authorization. Implies `sse` and `share: false`. */
  headers?: Record<string, string>
  /**
   * What proves who the page is: a token, or a function that returns one. The function is asked again when a token ends
   * or is refused: watches continue at their positions. With a text they end with the error `denied`.
   */
  token?: string | (() => string | Promise<string>)
  /** Whose token it is. Tabs of one user share a connection; without this a page with a token has its own. */
  user?: string
  fetch?: typeof fetch
}

/**
 * The client. Watches share one connection, over all tabs of the origin; commands
 * go by fetch. A command that was surely not applied (429, 503) or that carries
 * an idempotency key is tried up to five times. `state` events tell of changes
 * of `state`.
 */
export class Keywatch extends EventTarget {
  constructor(options?: Options)
  readonly state: State
  readonly url: string
  watch(query: Query, handlers?: Handlers | ((m: Message) => void)): Watch
  mirror(options?: { prefix?: string; mode?: Query['mode']; interval?: Query['interval'] }): Mirror
  get(key: string, options?: { consistency?: 'linearizable' | 'local'; signal?: AbortSignal }): Promise<Entry | null>
  put(key: string, value: Value | ArrayBuffer, options?: PutOptions): Promise<Written | Refused>
  /** Swaps by value; null is absent. */
  cas(key: string, expected: Value | null, next: Value | null, options?: Omit<PutOptions, 'ifMatch' | 'ifAbsent' | 'ifRev'>): Promise<({ ok: true } & Partial<Written>) | Refused>
  delete(key: string, options?: WriteOptions & { ifMatch?: string }): Promise<{ ok: true } | Refused>
  batch(request: BatchRequest, options?: WriteOptions): Promise<{ ok: true; committed: boolean; rev?: number; failed?: number; results: object[] } | Refused>
  /** One page. */
  list(options?: { prefix?: string; limit?: number; keys?: boolean; cursor?: string; consistency?: 'linearizable' | 'local'; signal?: AbortSignal }): Promise<{ entries: Entry[]; next?: string; position: string }>
  /** All pages. Watching since the first page's position closes every gap between them. */
  scan(options?: { prefix?: string; limit?: number; keys?: boolean; signal?: AbortSignal }): AsyncIterable<Entry>
  /** Round trip over the shared connection in ms. */
  ping(): Promise<number>
  /**
   * A text that opens a watch of these names in a URL, as an EventSource needs it: `/v1/watch?key=a&ticket=...`. It is good
   * once and for 30 s or, with `reuse`, until `ttl` ends; `origin` is the only origin then whose pages may use it.
   */
  ticket(query: { keys?: string[]; prefixes?: string[]; ttl?: number | string; reuse?: boolean; origin?: string }): Promise<{ ticket: string; expires_ms: number }>
  /** Looks at once whether the connection lives, and opens a lost one now instead of after its delay: for a button. */
  wake(): void
  /** Ends all watches and mirrors. */
  close(): void
}

/** Inner parts, exported for tests. */
export class EventParser { constructor(emit: (e: { event: string; data: string; id?: string }) => void, retry?: (ms: number) => void); push(text: string): void }
export function backoff(tries: number, random?: () => number): number
export function reconnects(code: number): boolean
