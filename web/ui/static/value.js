// How a value is shown.

import { dump, plural } from './dom.js'
import { controls, ends } from './field.js'

const SHOWN = 100_000 // characters of a value that are shown

/** pretty shows JSON with its structure, bytes as a dump, and all else as it is. */
export function pretty(value) {
  if (typeof value !== 'string') return dump(value)
  if (value.length > SHOWN) return `${value.slice(0, SHOWN)}\n… ${(value.length - SHOWN).toLocaleString('en')} more characters; Copy value copies all`
  return isJSON(value) ? indent(value) : value
}

function isJSON(value) {
  if (!/^\s*[[{]/.test(value) || value.length > SHOWN) return false
  try {
    JSON.parse(value)
    return true
  } catch {
    return false
  }
}

/** describe says what a value is, and what of it cannot be seen. */
export function describe(value) {
  if (typeof value !== 'string') return 'bytes, not UTF-8'
  if (value === '') return 'empty'
  const lines = value.split(/\r\n|\r|\n/).length - (/[\r\n]$/.test(value) ? 1 : 0), end = ends(value), n = controls(value)
  return [isJSON(value) ? 'JSON, shown with line breaks' : 'text', lines > 1 && plural(lines, 'line'), end && `${end} line ends`,
    /[\r\n]$/.test(value) && 'ends with a line end', n && plural(n, 'control character')].filter(Boolean).join(', ')
}

/** indent gives JSON lines. It moves what is there and changes nothing: 1.0 and 2^60 stay what they are. */
export function indent(json) {
  let depth = 0
  const line = () => '\n' + '  '.repeat(depth)
  return json.replace(/("(?:[^"\\]|\\.)*")|([{[])\s*([}\]])?|([}\]])|([,:])|\s+/g, (all, string, open, shut, close, mark) => {
    if (string) return string
    if (open) return shut ? open + shut : (depth++, open + line())
    if (close) return depth--, line() + close
    return mark === ',' ? mark + line() : mark === ':' ? ': ' : ''
  })
}
