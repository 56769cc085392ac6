// The dashboard: joins the stream, the tree, the panel of one key and the figures.

import { Keywatch } from '../keywatch.js'
import { $, h, set, count, plural, turn, choose } from './dom.js'
import { format, parse } from './address.js'
import { Connection } from './connection.js'
import { create, interrupted } from './create.js'
import { Detail } from './detail.js'
import { explain } from './explain.js'
import { Figures } from './figures.js'
import { Grid } from './grid.js'
import { inBrowser, inTab } from './kept.js'
import { Nodes } from './nodes.js'
import { notice, say } from './notice.js'
import { arrive as identify, credential, login, permit } from './person.js'
import { readPalette } from './spark.js'
import { Store, MAX_KEYS } from './store.js'

const LATEST = '100ms' // how often one key may change on the screen
const TYPED = 300 // ms without a key after which what was typed is used

// A proxy may have the server below a path. The page is about this server; its policy allows no other.
const kw = new Keywatch({ url: new URL('..', import.meta.url).href, fixed: true, ...credential })
const folders = `folders ${kw.url}`
const store = new Store(inTab.get(folders) ?? [])
const narrow = matchMedia('(max-width: 720px)')
let watch = null, prefix = '', pausedAt = 0, drawing = false, typed = 0

// ---------------------------------------------------------------- drawing

/** wake has everything drawn at the next frame. Many changes make one drawing. */
function wake() {
  if (drawing) return
  drawing = true
  requestAnimationFrame(() => {
    drawing = false
    grid.draw()
    detail.tick(Date.now())
    counts()
  })
}

function counts() {
  const all = store.keys.size
  set($('count'), store.filter ? `${count(grid.rows.length)} of ${count(all)}` : plural(all, 'key'))
  const why = grid.rows.length || watch?.phase !== 'live' && !pausedAt ? '' : store.filter ? 'filter' : prefix ? 'prefix' : 'store'
  if (why === $('empty').dataset.why) return
  $('empty').dataset.why = why
  $('empty').hidden = !why
  $('empty').replaceChildren(...nothing[why]?.() ?? [])
}

/** nothing says why no key is shown, and what to do about it. */
const nothing = {
  filter: () => [h('strong', {}, 'No key contains this text'), h('button', { onclick: () => narrowTo(prefix, '') }, 'Clear the filter')],
  prefix: () => [h('strong', {}, 'No key begins with this prefix'), h('button', { onclick: () => narrowTo('', $('filter').value) }, 'Show all keys')],
  store: () => [h('strong', {}, 'No keys yet'), h('span', {}, 'Create one here or from a shell. It appears as soon as it is written.'),
    h('code', {}, `curl -X PUT --data-binary 21.5 ${kw.url}/v1/kv/sensors/1`), $('create').hidden ? null : h('button', { onclick: newKey }, 'New key')].filter(Boolean),
}

const grid = new Grid($('grid'), $('rows'), store, key => go(key), wake)
const detail = new Detail(kw, $('detail'), store, (key, deleted) => {
  if (deleted) say(`${key} was deleted.`)
  arrive()
  $('grid').focus()
}, wake)
const nodes = new Nodes(kw.url, $('nodes'), $('nodes-toggle'))
const figures = new Figures(kw.url, $('figures'), status => { nodes.follow(status); wake() })
const connection = new Connection(kw, narrow, () => ({ pausedAt, stopped: watch?.phase === 'closed' }))

// ---------------------------------------------------------------- the list

function start() {
  watch?.close()
  store.clear()
  notice('list', '')
  notice('hidden', '')
  setPaused(0)
  const names = permitted()
  if (!names.prefixes && !names.keys) return notice('list', 'Your user may not watch any key.')
  watch = kw.watch({ ...names, mode: 'latest', interval: LATEST }, {
    reset: () => store.begin(),
    synced: () => {
      const first = !store.settled
      store.end()
      if (first) reveal(detail.key)
      wake()
    },
    put: e => {
      const fresh = store.put(e, watch?.phase === 'live')
      if (fresh && store.settled && e.key === detail.key) reveal(e.key) // it may come long after it was made here
      if (store.full) tooMany()
      wake()
    },
    delete: e => { store.delete(e); wake() },
    error: err => {
      if (err.status === 401 || credential.token && kw.state.phase === 'closed') login()
      notice('list', explain(err), h('button', { onclick: start }, 'Try again'))
      connection.draw()
    },
  })
  connection.draw()
  wake()
}

/** permitted returns what is watched: all that the prefix says or, of everything, what the person may watch. */
const permitted = () => permit && prefix === '' ? permit.watched() : { prefixes: [prefix] }

/** reveal puts the cursor on a key, and opens what it is in. */
function reveal(key) {
  if (key === null) return
  store.reveal(key)
  grid.select(key)
}

function tooMany() {
  watch.close()
  notice('list', `More than ${count(MAX_KEYS)} keys begin with this prefix. The list is incomplete and is not updated: enter a longer prefix.`)
  connection.draw()
}

function pause() {
  if (!watch || watch.phase === 'closed') return
  if (pausedAt) watch.resume()
  else watch.pause()
  setPaused(pausedAt ? 0 : Date.now())
  connection.draw()
}

function setPaused(at) {
  pausedAt = at
  set($('pause').lastElementChild, pausedAt ? 'Resume' : 'Pause')
  turn($('pause'), pausedAt ? 'play' : 'pause')
  $('pause').setAttribute('aria-pressed', Boolean(pausedAt))
  document.body.classList.toggle('paused', Boolean(pausedAt))
}

// ---------------------------------------------------------------- places

/** narrowTo shows the keys that begin with one text and contain another. */
function narrowTo(begin, contain) {
  clearTimeout(typed)
  if ($('prefix').value !== begin) $('prefix').value = begin
  if ($('filter').value !== contain) $('filter').value = contain
  filter(contain)
  if (prefix !== begin || !watch) {
    prefix = begin
    start()
  }
  address()
}

function filter(text) {
  if (store.filter === text.toLowerCase()) return
  store.filter = text
  $('grid').scrollTop = 0
  notice('hidden', '')
  wake()
}

/** go shows a key, and says so in the address, so that it can be kept and sent. */
async function go(key) {
  const shown = key === null ? await detail.leave() : await detail.show(key)
  if (!shown) return
  reveal(key)
  arrive()
}

/** arrive is what follows when another key, or none, is shown. */
function arrive() {
  address()
  cover()
  wake()
}

/** address says what is shown. Going back closes the panel, as one expects on a phone. */
function address() {
  const hash = format({ key: detail.key, prefix, filter: $('filter').value })
  document.title = detail.key === null ? 'keywatch' : `${detail.key} · keywatch`
  if (location.hash === hash) return
  const opened = detail.key !== null && parse(location.hash).key === null
  history[opened ? 'pushState' : 'replaceState'](null, '', location.pathname + hash)
}

/** cover takes what a panel on a small screen covers out of reach. */
function cover() {
  const covered = narrow.matches && detail.key !== null
  for (const el of [document.querySelector('header'), $('figures'), $('nodes'), $('browse')]) el.inert = covered
  if (covered && !detail.editing) $('detail').focus()
}

async function fromAddress() {
  const place = parse(location.hash)
  if (place.key !== detail.key && !await detail.leave()) return address() // an edit is finished first
  if (place.key !== null) await detail.show(place.key)
  narrowTo(place.prefix, place.filter)
  reveal(place.key)
  arrive()
}

// ---------------------------------------------------------------- new keys

async function newKey() {
  if ($('create').hidden) return
  const selected = grid.selected ?? ''
  const folder = selected.slice(0, selected.lastIndexOf('/') + 1)
  const key = await create(kw, folder && !folder.startsWith('locks/') ? folder : prefix)
  if (key === null) return
  $('grid').focus() // or the keys typed next go to a field that has gone
  await go(key)
  unhide(key)
}

/** unhide offers to show a key that was made here and is not in the list. */
function unhide(key) {
  if (!key.startsWith(prefix)) notice('hidden', `${key} was created. The list shows only keys that begin with ${prefix}`, h('button', { onclick: () => narrowTo('', '') }, 'Show all keys'), true)
  else if (!key.toLowerCase().includes(store.filter)) notice('hidden', `${key} was created. The list shows only keys that contain ${store.filter}`, h('button', { onclick: () => narrowTo(prefix, '') }, 'Clear the filter'), true)
  else if (pausedAt) notice('hidden', `${key} was created. The list is paused.`, h('button', { onclick: () => { notice('hidden', ''); pause() } }, 'Resume the list'), true)
}

const help = () => choose('Keyboard', h('dl', { class: 'keys' }, [
  ['↑ ↓', 'move'], ['→ ←', 'open and close a prefix'], ['Enter', 'open a key'], ['Esc', 'close it'], ['/', 'filter'], ['n', 'new key'],
  ['e', 'edit'], ['Ctrl Enter', 'save'], ['p', 'pause and resume'], ['s', 'server figures'], ['c', 'servers of the cluster'], ['t', 'colours'],
].map(([key, what]) => h('div', {}, h('dt', {}, h('kbd', {}, key)), h('dd', {}, what)))), [['', 'Close', '']])

// ---------------------------------------------------------------- switches

const themes = { auto: 'same as the system', light: 'light', dark: 'dark' }

function theme(name) {
  document.documentElement.dataset.theme = name
  turn($('theme'), name)
  $('theme').title = `Colours: ${themes[name]} (t)`
  $('theme').setAttribute('aria-label', `Colours: ${themes[name]}`)
  inBrowser.set('theme', name)
  repaint()
}

function repaint() {
  readPalette()
  for (const node of store.keys.values()) if (node.trend) node.tick++
  figures.redraw()
  detail.redraw()
  wake()
}

function server(visible) {
  $('figures-toggle').setAttribute('aria-expanded', visible)
  figures.show(visible)
  inBrowser.set('server', visible)
}

function cluster(visible) {
  nodes.show(visible)
  inBrowser.set('nodes', visible)
}

const nextTheme = () => theme({ auto: 'light', light: 'dark', dark: 'auto' }[document.documentElement.dataset.theme])
const toggleServer = () => { if (!$('figures-toggle').hidden) server($('figures').hidden) }
const toggleNodes = () => cluster(!nodes.open)
const later = () => { clearTimeout(typed); typed = setTimeout(fromFields, TYPED) }
const fromFields = () => narrowTo($('prefix').value, $('filter').value)

$('pause').onclick = pause
$('create').onclick = newKey
$('help').onclick = help
$('theme').onclick = nextTheme
$('figures-toggle').onclick = toggleServer
$('nodes-toggle').onclick = toggleNodes
$('prefix').oninput = later
$('filter').oninput = () => { filter($('filter').value); later() }
$('prefix').onchange = $('filter').onchange = fromFields

const shortcuts = { n: newKey, p: pause, s: toggleServer, c: toggleNodes, t: nextTheme, '?': help, e: () => detail.edit(), '/': () => $('filter').focus() }

addEventListener('keydown', e => {
  if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector('dialog[open]')) return
  if (e.key === 'Escape' && !detail.editing && detail.key) return detail.close()
  // For a moment the focus is still in a dialog that has just been closed.
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName) && !e.target.closest('dialog')) {
    if (e.key === 'Escape') $('grid').focus()
    return
  }
  if (shortcuts[e.key]) {
    e.preventDefault()
    shortcuts[e.key]()
  }
})
addEventListener('hashchange', fromAddress)
addEventListener('pagehide', () => inTab.set(folders, store.choices))
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint)
narrow.addEventListener('change', () => { cover(); repaint() })
setInterval(() => { connection.draw(); wake() }, 500)

theme(Object.hasOwn(themes, inBrowser.get('theme')) ? inBrowser.get('theme') : 'auto')
server(inBrowser.get('server') ?? true)
cluster(inBrowser.get('nodes') ?? false)
await identify()
$('create').hidden = permit !== null && !permit.any('write')
if (permit && !permit.may('metrics')) $('figures').hidden = $('figures-toggle').hidden = true
fromAddress()
if (interrupted()) newKey()
