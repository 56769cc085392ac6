// ---------------------------------------------------------------- credentials

/** A Credential is what proves who the page is: a text, or what a function returns, which is asked again when that ends. */
class Credential {
  #source; #text; #asking = null

  constructor(source) {
    this.#source = source
    if (isText(source)) this.#text = source
  }

  /** Whether there may be another one when this one ends. */
  get renews() { return typeof this.#source === 'function' }

  async get() { return this.#text ?? this.renew() }

  /** renew returns another credential than used: all who ask at once get the same. */
  async renew(used) {
    if (!this.renews) throw new KeywatchError('denied', 'the credential ended', { status: 401 })
    if (this.#text !== undefined && this.#text !== used) return this.#text
    this.#asking ??= (async () => this.#source())().then(text => this.#text = text).finally(() => { this.#asking = null })
    return this.#asking
  }
}

/** fetchAs sends a credential along, and asks once more with another one where that was refused. */
const fetchAs = (fetch, credential) => !credential ? fetch : async (url, init) => {
  const send = secret => fetch(url, { ...init, headers: { ...init.headers, Authorization: `Bearer ${secret}` } })
  const secret = await credential.get()
  const response = await send(secret)
  if (response.status !== 401 || !credential.renews) return response
  return send(await credential.renew(secret))
}
