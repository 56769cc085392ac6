// ---------------------------------------------------------------- event streams

/**
 * EventParser reads text/event-stream as the HTML standard says, in pieces of
 * any size. emit gets {event, data, id} for each event with data; id is
 * undefined where the event has none of its own. retry gets milliseconds.
 */
export class EventParser {
  #emit; #retry; #line = ''; #cr = false; #begun = false
  #event = ''; #data = []; #id

  constructor(emit, retry = () => {}) {
    this.#emit = emit
    this.#retry = retry
  }

  push(text) {
    if (!this.#begun && text) {
      this.#begun = true
      if (text[0] === '\ufeff') text = text.slice(1)
    }
    if (this.#cr && text) {
      this.#cr = false
      if (text[0] === '\n') text = text.slice(1)
    }
    const lines = (this.#line + text).split(/\r\n|\r|\n/)
    this.#cr = text.endsWith('\r')
    this.#line = lines.pop()
    for (const line of lines) this.#take(line)
  }

  #take(line) {
    if (line === '') return this.#dispatch()
    const colon = line.indexOf(':')
    if (colon === 0) return
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (name === 'data') this.#data.push(value)
    else if (name === 'event') this.#event = value
    else if (name === 'id' && !value.includes('\0')) this.#id = value
    else if (name === 'retry' && /^[0-9]+$/.test(value)) this.#retry(Number(value))
  }

  #dispatch() {
    const found = { event: this.#event || 'message', data: this.#data.join('\n'), id: this.#id }
    const any = this.#data.length > 0
    this.#event = ''
    this.#data = []
    this.#id = undefined
    if (any) this.#emit(found)
  }
}
