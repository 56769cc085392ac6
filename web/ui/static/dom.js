// What the other modules build the page with. Text goes in as text nodes only.

export const $ = id => document.getElementById(id)

/** h makes an element: properties, `on` handlers, aria and data attributes, children. */
export function h(tag, props = {}, ...children) {
  const el = document.createElement(tag)
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue
    if (name.startsWith('on')) el.addEventListener(name.slice(2), value)
    else if (name === 'class') el.className = value
    else if (name in el && !name.startsWith('aria')) el[name] = value
    else el.setAttribute(name, value === true ? '' : value)
  }
  el.append(...children.flat().filter(c => c !== null && c !== undefined && c !== false))
  return el
}

/** set writes text only where it differs, so that nothing is laid out in vain. */
export function set(el, text) {
  if (el.firstChild?.nodeType === 3 && el.childNodes.length === 1) {
    if (el.firstChild.data !== text) el.firstChild.data = text
  } else el.textContent = text
}

const units = [[86_400_000, 'd'], [3_600_000, 'h'], [60_000, 'm'], [1000, 's']]

/** span is a duration in ms for a narrow column: 4s, 12m, 3h, 2d. */
export function span(ms) {
  for (const [size, name] of units) if (ms >= size) return Math.floor(ms / size) + name
  return 'now'
}

/** clock is a duration in ms that runs down: 1:02:03, 0:09.4. */
export function clock(ms) {
  const s = Math.max(0, ms) / 1000
  const pad = n => String(Math.floor(n)).padStart(2, '0')
  if (s >= 86_400) return `${Math.floor(s / 86_400)}d ${pad(s % 86_400 / 3600)}h`
  if (s >= 3600) return `${Math.floor(s / 3600)}:${pad(s % 3600 / 60)}:${pad(s % 60)}`
  return s >= 60 ? `${Math.floor(s / 60)}:${pad(s % 60)}` : `${s.toFixed(1)} s`
}

export function bytes(n) {
  if (n < 1024) return `${n} B`
  const i = Math.min(4, Math.floor(Math.log2(n) / 10))
  return `${(n / 2 ** (10 * i)).toFixed(n / 2 ** (10 * i) < 10 ? 1 : 0)} ${' KMGT'[i]}iB`
}

export function count(n) {
  if (n >= 1e6) return `${(n / 1e6).toFixed(1)}M`
  if (n >= 1e5) return `${Math.round(n / 1e3)}k`
  return n >= 100 || Number.isInteger(n) ? Math.round(n).toLocaleString('en') : n.toFixed(1)
}

export const plural = (n, what) => `${count(n)} ${what}${n === 1 ? '' : 's'}`

/** size in bytes of a value as it came. */
export const sizeOf = value => typeof value === 'string' ? new TextEncoder().encode(value).length : value.length

/** text shows a value: strings as they are, bytes as hexadecimal. */
export function text(value, limit = 4096) {
  if (typeof value === 'string') return value
  const hex = Array.from(value.subarray(0, limit), b => b.toString(16).padStart(2, '0'))
  return hex.join(' ') + (value.length > limit ? ' …' : '')
}

/** choose asks in a dialog; it resolves with the value of the button pressed, '' for Escape. */
export function choose(title, body, buttons) {
  return new Promise(resolve => {
    const dialog = h('dialog', { 'aria-label': title, onclose: () => { dialog.remove(); resolve(dialog.returnValue) } },
      h('form', { method: 'dialog' }, h('h2', {}, title), body,
        h('div', { class: 'actions' }, buttons.map(([value, label, kind]) => h('button', { value, class: kind }, label)))))
    document.body.append(dialog)
    dialog.showModal()
  })
}
