// The dialog that makes a new key. What was typed outlives Escape and a reload, until it
// is created or cancelled.

import { h, set, choose } from './dom.js'
import { explain } from './explain.js'
import { inTab } from './kept.js'

const NEW = 'new key'

/** interrupted reports whether a reload closed the dialog. */
export const interrupted = () => Boolean(inTab.get(NEW)?.open)

/** create asks for a key that begins with begin, makes it, and returns its name; null if it was not made. */
export async function create(kw, begin) {
  const kept = inTab.get(NEW) ?? {}
  const key = h('input', { id: 'new-key', type: 'text', value: kept.key ?? begin, required: true, spellcheck: false, autocomplete: 'off', autocapitalize: 'off' })
  const value = h('textarea', { id: 'new-value', rows: 5, spellcheck: false, value: kept.value ?? '', onkeydown: e => {
    if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) key.form.requestSubmit()
  } })
  const ttl = h('input', { id: 'new-ttl', type: 'text', value: kept.ttl ?? '', placeholder: 'none, or 30s, 24h', spellcheck: false, autocomplete: 'off', autocapitalize: 'off' })
  const state = h('p', { class: 'state bad', role: 'alert' })
  const line = (name, el) => h('label', {}, h('span', {}, name), el)
  const typed = () => value.value || ttl.value || key.value !== begin
  const keep = open => inTab.set(NEW, typed() ? { key: key.value, value: value.value, ttl: ttl.value, open } : null)
  const leaving = () => keep(true)
  addEventListener('pagehide', leaving)
  const body = h('div', { class: 'form' }, line('Key', key), line('Value', value), line('Time to live', ttl), state)
  const chosen = choose('New key', body, [['create', 'Create', 'primary'], ['cancel', 'Cancel', '']])
  key.form.addEventListener('submit', e => {
    if (e.submitter?.value === 'cancel') return
    e.preventDefault()
    submit()
  })
  let busy = false
  const submit = async () => {
    if (busy) return
    busy = true
    const problem = await write(kw, key.value, value.value, ttl.value.trim())
    busy = false
    if (problem) set(state, problem)
    else key.closest('dialog')?.close('created')
  }
  for (const button of key.form.querySelectorAll('button[value=cancel]')) button.formNoValidate = true
  key.focus()
  key.setSelectionRange(key.value.length, key.value.length)
  const answer = await chosen
  removeEventListener('pagehide', leaving)
  if (answer === '') keep(false)
  else inTab.set(NEW, null)
  return answer === 'created' ? key.value : null
}

/** write makes the key, and returns what was wrong, '' if nothing. */
async function write(kw, key, value, ttl) {
  try {
    const result = await kw.put(key, value, { ifAbsent: true, ttl: ttl || undefined })
    if (result.ok) return ''
    return result.code === 'compare_failed' ? 'This key exists already.' : explain(result)
  } catch (err) {
    return explain(err)
  }
}
