// The servers of the cluster: asked for whenever the server has said that it is one of several.

import { h, set, bytes, count, plural } from './dom.js'
import { STALE } from './figures.js'
import { headers } from './person.js'

/** faults says what is wrong with a cluster, the worst first; nothing if all is well. */
export function faults({ leader, members }) {
  const found = leader ? [] : ['no leader']
  for (const m of members) if (m.state !== 'ready') found.push(`${m.name} ${m.state}`)
  for (const m of members) if (m.state !== 'unreachable' && !m.room) found.push(`${m.name} disk full`)
  return found
}

/** summary says how the cluster is as a whole. */
export function summary(d) {
  const voters = Number(d.copies.split('/')[1])
  const fail = voters ? `${plural(voters, 'voter')}, of which ${d.tolerates || 'none'} may fail` : 'no voters are known'
  return `Cluster ${d.cluster}, term ${d.term}: ${fail}.${d.from ? ` The leader did not answer: this is what ${d.from} knows.` : ''}`
}

/** lag says how far a server is behind, in time. */
export const lag = ms => ms < 0 ? '–' : ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`

const disk = m => m.state === 'unreachable' ? '–' : !m.room ? 'full' : m.disk_free < 0 ? '–' : `${bytes(m.disk_free)} free`

/** columns are what is shown of a server: name, what it says, and whether that is bad. */
export const columns = [
  ['Role', (m, d) => m.name === d.leader ? 'leader' : m.role],
  ['State', m => m.state, m => m.state !== 'ready'],
  ['Lag', m => m.state === 'unreachable' ? '–' : lag(m.lag_ms)],
  ['Behind', m => m.behind ? plural(m.behind, 'entry').replace('entrys', 'entries') : 'nothing'],
  ['Disk', disk, m => m.state !== 'unreachable' && !m.room],
  ['Version', m => m.version || '–'],
]

/** safe is an address that a link may have. */
const safe = url => /^https?:\/\//.test(url) ? url : undefined

class Row {
  #name = h('a', { rel: 'noreferrer' }); #cells = columns.map(() => h('td'))
  el = h('tr', {}, h('th', { scope: 'row' }, this.#name), this.#cells)

  draw(m, d) {
    set(this.#name, m.name)
    if (safe(m.url)) this.#name.href = m.url
    this.#name.title = `${m.url || m.peer}, id ${m.id}`
    columns.forEach(([, say, bad], i) => {
      set(this.#cells[i], say(m, d))
      this.#cells[i].className = bad?.(m) ? 'bad' : ''
    })
  }
}

export class Nodes {
  open = false
  #url; #box; #button; #rows = new Map(); #several = false; #asking = false
  #caption = h('caption'); #body = h('tbody')

  constructor(url, box, button) {
    this.#url = url
    this.#box = box
    this.#button = button
    box.append(h('table', {}, this.#caption,
      h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Server'), columns.map(([name]) => h('th', { scope: 'col' }, name)))), this.#body))
  }

  show(visible) {
    this.open = visible
    this.#place()
  }

  /** follow is told each /v1/status, null where the server did not answer. */
  async follow(status) {
    if (!status) return this.#stale(true)
    this.#several = Boolean(status.detail?.cluster?.members)
    this.#place()
    if (!this.#several || this.#asking) return
    this.#asking = true
    try {
      const answer = await fetch(`${this.#url}/v1/cluster`, { headers })
      if (answer.ok) this.draw(await answer.json())
      this.#stale(!answer.ok)
    } catch {
      this.#stale(true)
    }
    this.#asking = false
  }

  draw(d) {
    const wrong = faults(d)
    set(this.#button.lastElementChild, wrong[0] ?? plural(d.members.length, 'node'))
    this.#button.classList.toggle('bad', wrong.length > 0)
    set(this.#caption, summary(d))
    for (const id of this.#rows.keys()) if (!d.members.some(m => m.id === id)) this.#forget(id)
    for (const m of d.members) {
      if (!this.#rows.has(m.id)) this.#rows.set(m.id, new Row())
      const row = this.#rows.get(m.id)
      row.draw(m, d)
      if (this.#body.children[d.members.indexOf(m)] !== row.el) this.#body.insertBefore(row.el, this.#body.children[d.members.indexOf(m)] ?? null)
    }
  }

  #forget(id) {
    this.#rows.get(id).el.remove()
    this.#rows.delete(id)
  }

  #place() {
    this.#button.hidden = !this.#several
    this.#box.hidden = !this.#several || !this.open
    this.#button.setAttribute('aria-expanded', this.open)
  }

  #stale(is) {
    this.#box.classList.toggle('stale', is)
    this.#box.title = is ? STALE : ''
  }
}
