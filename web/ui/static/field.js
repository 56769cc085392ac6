// How a value stands in a text field, and which value a field stands for. A field
// holds text whose lines end in \n. So bytes stand in it as hexadecimal digits, and
// lines get back the ends that they had: what is not changed is written as it was.

/** forms are the ways to edit a value, and their names. */
export const forms = { text: 'Text', hex: 'Hexadecimal' }

/** HEX_MAX is the size of the longest value, in bytes, that is edited as digits. */
export const HEX_MAX = 64 << 10

const HEX_LINE = 16 // bytes
const COMPARED = 4_000_000 // pairs of lines that are compared at most

const encoder = new TextEncoder()

export const bytesOf = value => typeof value === 'string' ? encoder.encode(value) : value

/** textOf returns the text of a value, or null if its bytes are not UTF-8. */
export function textOf(value) {
  if (typeof value === 'string') return value
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value)
  } catch {
    return null
  }
}

/** same reports whether two values have the same bytes. */
export function same(a, b) {
  if (typeof a === 'string' && typeof b === 'string') return a === b
  const x = bytesOf(a), y = bytesOf(b)
  return x.length === y.length && x.every((byte, i) => byte === y[i])
}

/** formOf returns the form that suits a value. */
export const formOf = value => typeof value === 'string' ? 'text' : 'hex'

/** controls counts the characters of a text that a field does not show. Line ends and tabs it does. */
export const controls = text => text.match(/[^\P{Cc}\r\n\t]/gu)?.length ?? 0

/** ends names how the lines of a text end: '' for \n or a single line. */
export function ends(text) {
  const found = new Set(text.match(/\r\n|\r|\n/g))
  if (found.size > 1) return 'mixed'
  return { '\r\n': 'CRLF', '\r': 'CR' }[[...found][0]] ?? ''
}

/** toField returns what stands in a field for a value. A value that is not text has no text form. */
export function toField(value, form) {
  if (form === 'text') return value.replace(/\r\n?/g, '\n')
  const lines = [], bytes = bytesOf(value)
  for (let at = 0; at < bytes.length; at += HEX_LINE) {
    lines.push(Array.from(bytes.subarray(at, at + HEX_LINE), b => b.toString(16).padStart(2, '0')).join(' '))
  }
  return lines.join('\n')
}

/** fromField returns the value that a field stands for, which was filled from another one. It throws where the field has no meaning. */
export function fromField(field, form, was) {
  if (form === 'text') return restoreEnds(field, typeof was === 'string' ? was : '')
  const digits = field.replace(/\s+/g, '')
  if (!/^(?:[0-9a-f]{2})*$/i.test(digits)) throw new Error('Enter pairs of hexadecimal digits, such as 30 82 ff.')
  return Uint8Array.from(digits.match(/../g) ?? [], pair => parseInt(pair, 16))
}

/** restoreEnds gives lines that were not changed the ends that they have in was, and new lines that of a line beside them. */
export function restoreEnds(field, was) {
  const before = lines(was)
  const kinds = new Set(before.map(line => line.end).filter(end => end))
  if (kinds.size < 2) return kinds.size ? field.replaceAll('\n', [...kinds][0]) : field
  const now = field.split('\n'), from = align(before.map(line => line.text), now)
  let end = before[0].end, text = ''
  now.forEach((line, i) => {
    end = before[from[i]]?.end || end
    text += i < now.length - 1 ? line + end : line
  })
  return text
}

function lines(text) {
  const parts = text.split(/(\r\n|\r|\n)/)
  return parts.filter((_, i) => i % 2 === 0).map((text, i) => ({ text, end: parts[2 * i + 1] ?? '' }))
}

/** align returns for each line of now the place of its line in before; of one that is new, that of the line it replaces, if any. */
function align(before, now) {
  const from = []
  let head = 0, tail = 0
  while (head < Math.min(before.length, now.length) && before[head] === now[head]) from[head] = head++
  while (tail < Math.min(before.length, now.length) - head && before.at(-1 - tail) === now.at(-1 - tail)) {
    tail++
    from[now.length - tail] = before.length - tail
  }
  const old = before.slice(head, before.length - tail), fresh = now.slice(head, now.length - tail)
  const kept = old.length * fresh.length <= COMPARED ? common(old, fresh) : []
  const taken = new Set(kept)
  let next = 0 // in old: the line that a new one replaces
  for (let i = 0; i < fresh.length; i++) {
    const place = kept[i] ?? next
    if (place < old.length) from[head + i] = head + place
    if (kept[i] !== undefined) next = kept[i] + 1
    else if (!taken.has(next)) next++
  }
  return from
}

/** common finds a longest sequence of lines that two lists share: by place in the second, the place in the first. */
function common(a, b) {
  const width = b.length + 1, length = new Uint32Array((a.length + 1) * width)
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      length[i * width + j] = a[i] === b[j] ? length[(i + 1) * width + j + 1] + 1 : Math.max(length[(i + 1) * width + j], length[i * width + j + 1])
    }
  }
  const found = []
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) found[j++] = i++
    else if (length[(i + 1) * width + j] >= length[i * width + j + 1]) i++
    else j++
  }
  return found
}
