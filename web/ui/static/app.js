// The dashboard: joins the stream, the tree, the panel of one key and the figures.

import { Keywatch } from '/keywatch.js'
import { $, h, set, span, count, plural, choose } from './dom.js'
import { readPalette } from './spark.js'
import { Store, MAX_KEYS } from './store.js'
import { Grid } from './grid.js'
import { Detail } from './detail.js'
import { Figures } from './figures.js'

const LATEST = '100ms' // how often one key may change on the screen

const kw = new Keywatch()
const store = new Store()
let watch = null, pausedAt = 0, roundTrip = 0, drawing = false, slept = 0

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
  const none = grid.rows.length === 0
  $('empty').hidden = !none
  if (none) set($('empty'), watch?.phase !== 'live' && !pausedAt ? '' : store.filter ? 'No key contains that.' : $('prefix').value ? 'No key begins so.' : 'No keys yet. Press n to make one.')
}

const grid = new Grid($('grid'), $('rows'), store, key => go(key), wake)
const detail = new Detail(kw, $('detail'), () => { go(null); $('grid').focus() })
const figures = new Figures(kw.url, $('figures'), wake)

// ---------------------------------------------------------------- the stream

function start() {
  watch?.close()
  store.clear()
  notice('')
  pausedAt = 0
  watch = kw.watch({ prefixes: [$('prefix').value], mode: 'latest', interval: LATEST }, {
    reset: () => store.begin(),
    synced: () => { store.end(); openFirst(); grid.select(grid.selected); wake() },
    put: e => { store.put(e, watch?.phase === 'live'); if (store.full) tooMany(); wake() },
    delete: e => { store.delete(e); wake() },
    error: err => notice(err.message),
  })
  connection()
}

function openFirst() {
  // A store with one prefix at its top opens it; so does a small one.
  for (const kid of store.root.kids.values()) if (store.keys.size <= 200 || store.root.kids.size === 1) store.toggle(kid, true)
  if (detail.key) store.reveal(detail.key)
}

function tooMany() {
  watch.close()
  notice(`More than ${count(MAX_KEYS)} keys begin so. Give a longer prefix.`)
}

function pause() {
  if (pausedAt) watch.resume()
  else watch.pause()
  pausedAt = pausedAt ? 0 : Date.now()
  set($('pause'), pausedAt ? 'Resume' : 'Pause')
  $('pause').setAttribute('aria-pressed', Boolean(pausedAt))
  document.body.classList.toggle('paused', Boolean(pausedAt))
  connection()
}

function notice(message) {
  $('notice').hidden = !message
  set($('notice'), message)
}

// ---------------------------------------------------------------- connection

const transports = { websocket: 'WebSocket', sse: 'event stream' }

function connection() {
  const { phase, transport, role, until, error } = kw.state
  const box = $('connection')
  box.className = `connection ${pausedAt ? 'paused' : phase}`
  if (phase === 'open') {
    const lag = roundTrip ? ` · ${roundTrip < 10 ? roundTrip.toFixed(1) : Math.round(roundTrip)} ms` : ''
    set(box, pausedAt ? `Paused for ${span(Date.now() - pausedAt)}` : `Live${lag}`)
    box.title = `By ${transports[transport] ?? transport}${role === 'follower' ? ', shared with another tab that leads' : role === 'leader' ? ', which other tabs share' : ''}. The time is one round trip.`
  } else if (phase === 'waiting') {
    set(box, `Offline · again in ${Math.max(0, Math.ceil((until - Date.now()) / 1000))} s`)
    box.title = error?.message ?? ''
  } else set(box, phase === 'closed' ? `Closed: ${error?.code ?? ''}` : 'Connecting …')
}

async function measure() {
  if (kw.state.phase !== 'open' || document.visibilityState === 'hidden') return
  roundTrip = await kw.ping().catch(() => 0)
  connection()
}

kw.addEventListener('state', () => { connection(); if (!roundTrip) measure() })
setInterval(() => { connection(); wake() }, 500)
setInterval(measure, 3000)

// ---------------------------------------------------------------- places

/** go shows a key, and says so in the address, so that it can be kept and sent. */
async function go(key) {
  const shown = key === null ? await detail.leave() : await detail.show(key)
  if (!shown) return
  if (key !== null) {
    store.reveal(key)
    grid.select(key)
  }
  const hash = key === null ? '' : '#' + encodeURIComponent(key)
  if (location.hash !== hash) history.replaceState(null, '', location.pathname + hash)
  wake()
}

function fromAddress() {
  try {
    const key = decodeURIComponent(location.hash.slice(1))
    if (key) go(key)
  } catch { /* not an address of ours */ }
}

// ---------------------------------------------------------------- new keys

async function create() {
  const selected = grid.selected ?? ''
  const begin = selected.slice(0, selected.lastIndexOf('/') + 1) || $('prefix').value
  const form = {
    key: h('input', { id: 'new-key', type: 'text', value: begin, required: true, spellcheck: false, autocomplete: 'off' }),
    value: h('textarea', { id: 'new-value', rows: 5, spellcheck: false }),
    ttl: h('input', { id: 'new-ttl', type: 'text', placeholder: 'for ever; or 30s, 24h' }),
    state: h('p', { class: 'state bad', role: 'alert' }),
  }
  const line = (name, el) => h('label', {}, h('span', {}, name), el)
  const body = h('div', { class: 'form' }, line('Key', form.key), line('Value', form.value), line('Time to live', form.ttl), form.state)
  const chosen = choose('New key', body, [['cancel', 'Cancel', ''], ['create', 'Create', 'primary']])
  form.key.closest('form').addEventListener('submit', e => submit(e, form))
  for (const button of form.key.closest('form').querySelectorAll('button[value=cancel]')) button.formNoValidate = true
  form.key.focus()
  form.key.setSelectionRange(begin.length, begin.length)
  await chosen
}

async function submit(e, form) {
  const button = e.submitter
  if (button?.value === 'cancel') return
  e.preventDefault()
  try {
    const result = await kw.put(form.key.value, form.value.value, { ifAbsent: true, ttl: form.ttl.value.trim() || undefined })
    if (!result.ok) return set(form.state, result.code === 'compare_failed' ? 'This key is there already.' : result.code)
    form.key.closest('dialog').close('created')
    go(form.key.value)
  } catch (err) {
    set(form.state, err.message)
  }
}

const help = () => choose('Keyboard', h('dl', { class: 'keys' }, [
  ['↑ ↓', 'move'], ['→ ←', 'open and close a prefix'], ['Enter', 'open a key'], ['Esc', 'close it'], ['/', 'filter'], ['n', 'new key'],
  ['e', 'edit'], ['Ctrl Enter', 'save'], ['p', 'pause and resume'], ['s', 'server figures'], ['t', 'theme'],
].map(([key, what]) => h('div', {}, h('dt', {}, h('kbd', {}, key)), h('dd', {}, what)))), [['', 'Close', '']])

// ---------------------------------------------------------------- switches

const kept = { get: name => { try { return localStorage.getItem(name) } catch { return null } }, set: (name, value) => { try { localStorage.setItem(name, value) } catch { /* private */ } } }
const themes = ['auto', 'light', 'dark']

function theme(name) {
  document.documentElement.dataset.theme = name
  set($('theme'), '◐ ' + name[0].toUpperCase() + name.slice(1))
  kept.set('keywatch-theme', name)
  repaint()
}

function repaint() {
  readPalette()
  for (const node of store.keys.values()) if (node.trend) node.tick++
  figures.redraw()
  wake()
}

function server(visible) {
  $('figures-toggle').setAttribute('aria-expanded', visible)
  figures.show(visible)
  kept.set('keywatch-server', visible ? '1' : '0')
}

const nextTheme = () => theme(themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % 3])
const toggleServer = () => server($('figures').hidden)

$('pause').onclick = pause
$('create').onclick = create
$('help').onclick = help
$('theme').onclick = nextTheme
$('figures-toggle').onclick = toggleServer
$('filter').oninput = () => { store.filter = $('filter').value; $('grid').scrollTop = 0; wake() }
$('prefix').oninput = () => { clearTimeout(slept); slept = setTimeout(start, 300) }

const shortcuts = { n: create, p: pause, s: toggleServer, t: nextTheme, '?': help, e: () => detail.edit(), '/': () => $('filter').focus() }

addEventListener('keydown', e => {
  if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector('dialog[open]')) return
  if (e.key === 'Escape' && !detail.editing && detail.key) return go(null).then(() => $('grid').focus())
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName)) {
    if (e.key === 'Escape') $('grid').focus()
    return
  }
  if (shortcuts[e.key]) {
    e.preventDefault()
    shortcuts[e.key]()
  }
})
addEventListener('hashchange', fromAddress)
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint)

theme(kept.get('keywatch-theme') ?? 'auto')
server(kept.get('keywatch-server') !== '0')
start()
fromAddress()
