// The dashboard: joins the stream, the tree, the panel of one key and the figures.

import { Keywatch } from '../keywatch.js'
import { $, h, set, span, count, plural, turn, choose } from './dom.js'
import { timeOf } from './changes.js'
import { readPalette } from './spark.js'
import { Store, MAX_KEYS } from './store.js'
import { Grid } from './grid.js'
import { Detail } from './detail.js'
import { Figures } from './figures.js'

const LATEST = '100ms' // how often one key may change on the screen
const LOST = 1500 // ms without a connection before the page says so

const kw = new Keywatch({ url: new URL('..', import.meta.url).href }) // a proxy may have the server below a path
const store = new Store()
const narrow = matchMedia('(max-width: 720px)')
let watch = null, pausedAt = 0, roundTrip = 0, drawing = false, slept = 0, leftAt = 0, lostAt = 0, before = ''

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
  const why = grid.rows.length || watch?.phase !== 'live' && !pausedAt ? '' : store.filter ? 'filter' : $('prefix').value ? 'prefix' : 'store'
  if (why === $('empty').dataset.why) return
  $('empty').dataset.why = why
  $('empty').hidden = !why
  $('empty').replaceChildren(...nothing[why]?.() ?? [])
}

/** nothing says why no key is shown, and what to do about it. */
const nothing = {
  filter: () => [h('strong', {}, 'No key contains that'), h('button', { onclick: () => { $('filter').value = ''; filter() } }, 'Clear the filter')],
  prefix: () => [h('strong', {}, 'No key begins so'), h('button', { onclick: () => { $('prefix').value = ''; start() } }, 'Watch all keys')],
  store: () => [h('strong', {}, 'No keys yet'), h('span', {}, 'Make one here, or from a shell. It appears as it is written.'),
    h('code', {}, `curl -X PUT --data-binary 21.5 ${kw.url}/v1/kv/sensors/1`), h('button', { onclick: create }, 'New key')],
}

const grid = new Grid($('grid'), $('rows'), store, key => go(key), wake)
const detail = new Detail(kw, $('detail'), store, () => { go(null); $('grid').focus() })
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
  set($('pause').lastElementChild, pausedAt ? 'Resume' : 'Pause')
  turn($('pause'), pausedAt ? 'play' : 'pause')
  $('pause').setAttribute('aria-pressed', Boolean(pausedAt))
  document.body.classList.toggle('paused', Boolean(pausedAt))
  connection()
}

function notice(message, button) {
  if ($('notice').dataset.message === message) return
  $('notice').dataset.message = message
  $('notice').hidden = !message
  $('notice').replaceChildren(h('span', {}, message), button ?? '')
}

// ---------------------------------------------------------------- connection

const transports = { websocket: 'WebSocket', sse: 'event stream' }
const shared = { leader: ', which other tabs share', follower: ', shared with another tab that leads' }

function connection() {
  const { phase, transport, role, until, error } = kw.state
  const say = (what, lag, title) => {
    set($('phase'), what)
    set($('lag'), lag)
    $('connection').title = title
  }
  $('connection').className = `connection ${phase === 'open' && pausedAt ? 'paused' : phase}`
  if (phase === 'open') {
    const lag = roundTrip ? ` · ${roundTrip < 10 ? roundTrip.toFixed(1) : Math.round(roundTrip)} ms` : ''
    say(pausedAt ? 'Paused' : 'Live', pausedAt ? ` · ${span(Date.now() - pausedAt)}` : lag,
      `By ${transports[transport] ?? transport}${shared[role] ?? ''}. The time is one round trip.`)
  } else if (phase === 'waiting') {
    say('Offline', ` · ${narrow.matches ? '' : 'again in '}${Math.max(0, Math.ceil((until - Date.now()) / 1000))} s`, error?.message ?? '')
  } else say(phase === 'closed' ? `Closed: ${error?.code ?? ''}` : 'Connecting …', '', '')
  lost(phase)
}

/** lost says since when the page is old, once that is more than a moment. */
function lost(phase) {
  const now = Date.now()
  if (phase === 'open') {
    if (lostAt) notice('')
    lostAt = 0
  } else if (before === 'open') leftAt = now
  else if (phase !== 'closed' && leftAt && now - leftAt > LOST) {
    lostAt = leftAt
    notice(`Connection lost at ${timeOf(lostAt).slice(0, 8)}. What is shown may be old.`, h('button', { id: 'again', onclick: () => kw.wake() }, 'Try now'))
  }
  before = phase
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
  address()
  cover()
  wake()
}

/** address names the key that is shown. Going back closes the panel, as on a phone one would expect. */
function address() {
  const hash = detail.key === null ? '' : '#' + encodeURIComponent(detail.key)
  document.title = detail.key === null ? 'keywatch' : `${detail.key} · keywatch`
  if (location.hash === hash) return
  if (location.hash) history.replaceState(null, '', location.pathname + hash)
  else history.pushState(null, '', location.pathname + hash)
}

/** cover takes what a panel on a small screen lies over out of reach. */
function cover() {
  const covered = narrow.matches && detail.key !== null
  for (const el of [document.querySelector('header'), $('figures'), $('browse')]) el.inert = covered
  if (covered && !detail.editing) $('detail').focus()
}

async function fromAddress() {
  try {
    const key = decodeURIComponent(location.hash.slice(1)) || null
    if (key !== detail.key) await go(key)
    address() // somebody may have wished to stay
  } catch { /* not an address of ours */ }
}

// ---------------------------------------------------------------- new keys

async function create() {
  const selected = grid.selected ?? ''
  const begin = selected.slice(0, selected.lastIndexOf('/') + 1) || $('prefix').value
  const form = {
    key: h('input', { id: 'new-key', type: 'text', value: begin, required: true, spellcheck: false, autocomplete: 'off' }),
    value: h('textarea', { id: 'new-value', rows: 5, spellcheck: false, onkeydown: e => {
      if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) form.key.form.requestSubmit()
    } }),
    ttl: h('input', { id: 'new-ttl', type: 'text', placeholder: 'for ever, or 30s, 24h', spellcheck: false, autocomplete: 'off' }),
    state: h('p', { class: 'state bad', role: 'alert' }),
  }
  const line = (name, el) => h('label', {}, h('span', {}, name), el)
  const body = h('div', { class: 'form' }, line('Key', form.key), line('Value', form.value), line('Time to live', form.ttl), form.state)
  const chosen = choose('New key', body, [['create', 'Create', 'primary'], ['cancel', 'Cancel', '']])
  form.key.form.addEventListener('submit', e => submit(e, form))
  for (const button of form.key.form.querySelectorAll('button[value=cancel]')) button.formNoValidate = true
  form.key.focus()
  form.key.setSelectionRange(begin.length, begin.length)
  await chosen
}

async function submit(e, form) {
  if (e.submitter?.value === 'cancel') return
  e.preventDefault()
  try {
    const result = await kw.put(form.key.value, form.value.value, { ifAbsent: true, ttl: form.ttl.value.trim() || undefined })
    if (!result.ok) return set(form.state, result.code === 'compare_failed' ? 'This key is there already.' : result.code)
    form.key.closest('dialog').close('created')
    $('grid').focus() // else what is typed next goes to a field that nobody sees
    go(form.key.value)
  } catch (err) {
    set(form.state, err.message)
  }
}

const help = () => choose('Keyboard', h('dl', { class: 'keys' }, [
  ['↑ ↓', 'move'], ['→ ←', 'open and close a prefix'], ['Enter', 'open a key'], ['Esc', 'close it'], ['/', 'filter'], ['n', 'new key'],
  ['e', 'edit'], ['Ctrl Enter', 'save'], ['p', 'pause and resume'], ['s', 'server figures'], ['t', 'colours'],
].map(([key, what]) => h('div', {}, h('dt', {}, h('kbd', {}, key)), h('dd', {}, what)))), [['', 'Close', '']])

// ---------------------------------------------------------------- switches

const kept = { get: name => { try { return localStorage.getItem(name) } catch { return null } }, set: (name, value) => { try { localStorage.setItem(name, value) } catch { /* private */ } } }
const themes = { auto: 'as the system has them', light: 'light', dark: 'dark' }

function theme(name) {
  document.documentElement.dataset.theme = name
  turn($('theme'), name)
  $('theme').title = `Colours: ${themes[name]} (t)`
  $('theme').setAttribute('aria-label', `Colours: ${themes[name]}`)
  kept.set('keywatch-theme', name)
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
  kept.set('keywatch-server', visible ? '1' : '0')
}

function filter() {
  store.filter = $('filter').value
  $('grid').scrollTop = 0
  wake()
}

const nextTheme = () => theme({ auto: 'light', light: 'dark', dark: 'auto' }[document.documentElement.dataset.theme])
const toggleServer = () => server($('figures').hidden)

$('pause').onclick = pause
$('create').onclick = create
$('help').onclick = help
$('theme').onclick = nextTheme
$('figures-toggle').onclick = toggleServer
$('filter').oninput = filter
$('prefix').oninput = () => { clearTimeout(slept); slept = setTimeout(start, 300) }

const shortcuts = { n: create, p: pause, s: toggleServer, t: nextTheme, '?': help, e: () => detail.edit(), '/': () => $('filter').focus() }

addEventListener('keydown', e => {
  if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector('dialog[open]')) return
  if (e.key === 'Escape' && !detail.editing && detail.key) return go(null).then(() => $('grid').focus())
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
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint)
narrow.addEventListener('change', () => { cover(); repaint() })

theme(kept.get('keywatch-theme') in themes ? kept.get('keywatch-theme') : 'auto')
server(kept.get('keywatch-server') !== '0')
start()
fromAddress()
