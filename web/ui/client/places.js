// ---------------------------------------------------------------- places

/** How often a page that is used asks who the members of the cluster are. */
const LOOK_EVERY = 60_000, PLACES_MAX = 64

/**
 * Places are the addresses of the servers of a cluster: those that the page was given, which are never
 * forgotten, then members that have answered. One is used until it fails.
 */
class Places {
  #list; #at = 0; #ask; #fixed; #looked = -Infinity

  /** ask(base) resolves with /v1/cluster of a server, or fails. */
  constructor(list, fixed, ask) {
    this.#list = list
    this.#fixed = fixed
    this.#ask = ask
  }

  get base() { return this.#list[this.#at] }
  get length() { return this.#list.length }

  /** failed continues with the next address, unless that was done since base was used. */
  failed(base) {
    if (base === this.base) this.#at = (this.#at + 1) % this.#list.length
  }

  /**
   * leave continues with the first known one of the servers that base has named because it leaves, and says whether there
   * is one. Those that are not known are asked with the next answer.
   */
  leave(base, named = []) {
    const known = named.map(text => URL.canParse(text) ? this.#list.indexOf(baseOf(text)) : -1)
    const at = known.find(i => i >= 0 && this.#list[i] !== base)
    if (known.includes(-1)) this.#looked = -Infinity
    if (at !== undefined && base === this.base) this.#at = at
    return at !== undefined
  }

  /** answered looks now and then who the members are. */
  async answered(base) {
    if (this.#fixed || performance.now() - this.#looked < LOOK_EVERY) return
    this.#looked = performance.now()
    try {
      const said = await this.#ask(base)
      for (const { url } of said.members ?? []) await this.#meet(url, said.cluster)
    } catch { /* a server of an earlier release, or none: there is nothing to learn */ }
  }

  /** meet adds a member once it has answered: its name may not resolve here, or be that of another server. */
  async #meet(url, cluster) {
    if (!url || !cluster || this.#list.length >= PLACES_MAX) return
    const base = baseOf(url)
    if (this.#list.includes(base)) return
    const other = await this.#ask(base).catch(() => ({}))
    if (other.cluster === cluster) this.#list.push(base)
  }
}

