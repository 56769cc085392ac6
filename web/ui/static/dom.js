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

const SVG = 'http://www.w3.org/2000/svg'

/** icon is one of the symbols of the page. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('class', 'icon')
  svg.setAttribute('aria-hidden', 'true')
  svg.append(document.createElementNS(SVG, 'use'))
  return turn(svg, name)
}

/** turn makes an icon, or the one in a button, another one. */
export function turn(el, name) {
  el.querySelector('use').setAttribute('href', '#i-' + name)
  return el
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

const hex = (n, digits) => n.toString(16).padStart(digits, '0')

/** text shows a value: strings as they are, bytes as hexadecimal. */
export function text(value, limit = 4096) {
  if (typeof value === 'string') return value
  return Array.from(value.subarray(0, limit), b => hex(b, 2)).join(' ') + (value.length > limit ? ' …' : '')
}

/** dump shows bytes as lines of eight with their place before and what is ASCII in them behind. */
export function dump(value, limit = 4096) {
  const lines = []
  for (let at = 0; at < Math.min(value.length, limit); at += 8) {
    const part = Array.from(value.subarray(at, at + 8))
    lines.push(`${hex(at, 6)}  ${part.map(b => hex(b, 2)).join(' ').padEnd(23)}  ${part.map(b => b > 31 && b < 127 ? String.fromCharCode(b) : '·').join('')}`)
  }
  return lines.join('\n') + (value.length > limit ? `\n… ${bytes(value.length - limit)} more` : '')
}

/** preview is the beginning of a value on one line. It does not keep the rest in memory. */
export function preview(value, limit) {
  if (typeof value !== 'string') return `${plural(value.length, 'byte')}, not text`
  // A slice refers to the whole; what a concatenation was flattened into does not.
  const begin = value.length > limit ? (' ' + value.slice(0, limit)).slice(1) : value
  return begin.replace(/[\s\p{Cc}]+/gu, ' ')
}

/** copyButton copies what get returns, and says so for a moment. */
export function copyButton(name, get) {
  const button = h('button', { class: 'square plain', title: name, 'aria-label': name, onclick: async () => {
    turn(button, await copied(get()) ? 'done' : 'close')
    setTimeout(() => turn(button, 'copy'), 1500)
  } }, icon('copy'))
  return button
}

/** copied puts text on the clipboard; browsers lend it to https and to this machine only. */
const copied = text => navigator.clipboard ? navigator.clipboard.writeText(text).then(() => true, () => false) : false

/**
 * choose asks in a dialog; it resolves with the value of the button pressed, ''
 * for Escape. The first button is what Enter in a field means; it stands last.
 */
export function choose(title, body, buttons) {
  return new Promise(resolve => {
    const dialog = h('dialog', { 'aria-label': title, onclose: () => { dialog.remove(); resolve(dialog.returnValue) } },
      h('form', { method: 'dialog' }, h('h2', {}, title), body,
        h('div', { class: 'actions' }, buttons.map(([value, label, kind]) => h('button', { value, class: kind }, label)))))
    document.body.append(dialog)
    dialog.showModal()
    dialog.querySelector('button[value=""]')?.focus() // what is dangerous is not what is pressed by chance
  })
}
