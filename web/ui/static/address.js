// What the page shows, as the part of its address behind "#": the key, and the prefix
// and filter of the list. It can be kept and sent.

/** format returns the fragment for a place, '' for the beginning. */
export function format({ key, prefix, filter }) {
  const list = new URLSearchParams()
  if (prefix) list.set('prefix', prefix)
  if (filter) list.set('filter', filter)
  const query = prefix || filter ? `?${list}` : ''
  return key === null && !query ? '' : `#${key === null ? '' : encodeURIComponent(key)}${query}`
}

/** parse is the reverse of format. What is no address of ours is the beginning. */
export function parse(hash) {
  const [key, query] = hash.replace(/^#/, '').split(/\?(.*)/s)
  const list = new URLSearchParams(query)
  try {
    return { key: decodeURIComponent(key) || null, prefix: list.get('prefix') ?? '', filter: list.get('filter') ?? '' }
  } catch {
    return { key: null, prefix: '', filter: '' }
  }
}
