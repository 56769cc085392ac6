// Who uses the page, where the server asks for that: a form to log in, and what the
// person may do. A session is kept in this tab only; without one nothing is different.

import { $, h, set } from './dom.js'
import { explain } from './explain.js'
import { inTab } from './kept.js'

const url = new URL('..', import.meta.url).href.replace(/\/+$/, '')
const PLACE = `session ${url}`
const isSecret = text => /^kw[ks]_[0-9A-Za-z]{49}$/.test(text)

/** kept is {token, user} of a session of this tab; null where there is none. */
const kept = globalThis.sessionStorage ? inTab.get(PLACE) : null

/** credential is what keywatch.js is given of the session. */
export const credential = kept ? { token: kept.token, user: kept.user } : {}

/** headers prove who asks. */
export const headers = kept ? { Authorization: `Bearer ${kept.token}` } : {}

/** A Permit is what grants allow, as the server says them: texts, or objects with verbs and key or prefix. */
export class Permit {
  #grants

  /** all are lists of grants, each of which must allow what is asked. */
  constructor(name, ...all) {
    this.#grants = all.filter(Boolean).map(list => list.map(g => read(g, name)))
  }

  /** key reports whether a verb is allowed on a key. */
  key(verb, key) { return this.#every(g => g.verbs.has(verb) && (g.under ? key.startsWith(g.target) : key === g.target), verb) }

  /** under reports whether a verb is allowed on every key that begins with a prefix. */
  under(verb, prefix) { return this.#every(g => g.verbs.has(verb) && g.under && prefix.startsWith(g.target), verb) }

  /** may reports whether a verb without a target is allowed. */
  may(verb) { return this.#every(g => g.verbs.has(verb), verb) }

  /** any reports whether a verb is allowed on any key at all. */
  any(verb) { return this.#every(g => g.verbs.has(verb), verb) }

  /** watched returns the keys and prefixes that may be read and watched. */
  watched() {
    const targets = this.#grants.flat()
    const both = (g, ok) => ok.call(this, 'read', g.target) && ok.call(this, 'watch', g.target)
    const all = targets.some(g => g.verbs.has('admin')) ? [''] : targets.filter(g => g.under && both(g, this.under)).map(g => g.target)
    const prefixes = [...new Set(all)].filter(p => !all.some(other => other !== p && p.startsWith(other)))
    const keys = [...new Set(targets.filter(g => !g.under && g.target && both(g, this.key)).map(g => g.target))].filter(k => !prefixes.some(p => k.startsWith(p)))
    return { prefixes: prefixes.length ? prefixes : undefined, keys: keys.length ? keys : undefined }
  }

  #every(allows) { return this.#grants.every(list => list.some(g => g.verbs.has('admin') || allows(g))) }
}

/** read reads one grant. */
function read(grant, name) {
  const named = text => text.replaceAll('{user}', name)
  if (typeof grant !== 'string') {
    return { verbs: new Set(grant.verbs), under: grant.prefix !== undefined, target: named(grant.prefix ?? grant.key ?? '') }
  }
  const cut = grant.indexOf(':')
  if (cut < 0) return { verbs: new Set(grant.split(',')), under: false, target: '' }
  const target = named(grant.slice(cut + 1)), verbs = new Set(grant.slice(0, cut).split(','))
  if (target.endsWith('*')) return { verbs, under: true, target: target.slice(0, -1) }
  return { verbs, under: target.endsWith('/'), target }
}

/** permit is what the person may do; null is everything, as far as the page knows. */
export let permit = null

/** arrive shows who uses the page, and learns what that one may do. */
export async function arrive() {
  if (!kept) return
  const answer = await ask('GET', '/v1/auth/whoami').catch(() => null)
  if (answer?.status === 401) return login()
  if (!answer?.ok) return
  const who = await answer.json()
  permit = new Permit(who.user ?? '', who.grants, who.bound)
  set($('who'), who.user ?? '')
  $('who').hidden = $('logout').hidden = false
  $('logout').onclick = logout
}

const ask = (method, path, body, more = headers) => fetch(url + path, {
  method, cache: 'no-store', body: body && JSON.stringify(body), headers: { Accept: 'application/json', ...more },
})

/** offer shows a way to log in, where the server serves others without that. */
export function offer() {
  if (kept || !$('logout').hidden) return
  set($('logout'), 'Log in')
  $('logout').title = 'Log in'
  $('logout').hidden = false
  $('logout').onclick = login
}

async function logout() {
  await ask('POST', '/v1/auth/logout').catch(() => null) // an API key has no session to end
  leave()
}

function leave() {
  inTab.set(PLACE, null)
  location.reload()
}

/** login asks who uses the page. The page is loaded again then. */
export function login() {
  if ($('login')) return
  inTab.set(PLACE, null)
  const user = h('input', { id: 'login-user', type: 'text', autocomplete: 'username', spellcheck: false, autocapitalize: 'off', value: kept?.user ?? '' })
  const password = h('input', { id: 'login-password', type: 'password', autocomplete: 'current-password', required: true })
  const state = h('p', { class: 'state bad', role: 'alert' })
  const line = (name, el) => h('label', {}, h('span', {}, name), el)
  let busy = false
  const form = h('form', { onsubmit: async e => {
    e.preventDefault()
    if (busy) return
    busy = true
    set(state, '')
    const problem = await prove(user.value.trim(), password.value)
    busy = false
    if (!problem) return location.reload()
    set(state, problem)
    password.select()
  } }, h('h2', {}, 'Log in'), h('div', { class: 'form' }, line('User', user), line('Password or API key', password), state),
  h('div', { class: 'actions' }, h('button', { class: 'primary' }, 'Log in')))
  const dialog = h('dialog', { id: 'login', 'aria-label': 'Log in', oncancel: e => e.preventDefault() }, form)
  document.body.append(dialog)
  dialog.showModal()
  ;(user.value ? password : user).focus()
}

/** prove keeps a session of who has a password or a key, and returns what is wrong, '' if nothing. */
async function prove(user, password) {
  try {
    const key = isSecret(password)
    const answer = key ? await ask('GET', '/v1/auth/whoami', undefined, { Authorization: `Bearer ${password}` }) : await ask('POST', '/v1/auth/login', { user, password }, {})
    const body = await answer.json().catch(() => ({}))
    if (!answer.ok) return answer.status === 401 ? 'The user, password or key is not accepted.' : explain({ ...body, code: body.code ?? `http_${answer.status}` })
    return inTab.set(PLACE, { token: key ? password : body.token, user: body.user ?? '' }) ? '' : 'This browser keeps nothing for the page, so you cannot log in.'
  } catch {
    return explain({ code: 'network' })
  }
}
