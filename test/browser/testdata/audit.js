// What a person who looks closely would find wrong with the page as it is now:
// text that is hard to read, things too small to hit, things cut off or outside.
// The value is a list of complaints.
(touch => {
  const complaints = []
  const say = (el, what) => complaints.push(`${nameOf(el)}: ${what}`)
  const nameOf = el => el.tagName.toLowerCase() + (el.id ? `#${el.id}` : '') + (typeof el.className === 'string' && el.className ? '.' + el.className.trim().replace(/\s+/g, '.') : '')
  const top = document.querySelector('dialog[open]') ?? document.body
  const shown = el => el.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && el.getClientRects().length > 0
  const all = [...top.querySelectorAll('*')].filter(el => shown(el) && !el.closest('.skip'))

  // ------------------------------------------------------------ contrast

  const channels = colour => {
    const n = (colour.match(/[\d.]+/g) ?? []).map(Number)
    if (colour.startsWith('color(srgb')) return [n[0] * 255, n[1] * 255, n[2] * 255, n[3] ?? 1]
    return [n[0], n[1], n[2], n[3] ?? 1]
  }
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1)
  const luminance = c => c.slice(0, 3).map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
  const contrast = (a, b) => {
    const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x)
    return (high + 0.05) / (low + 0.05)
  }
  const behind = el => {
    const layers = []
    for (let e = el; e; e = e.parentElement) layers.push(channels(getComputedStyle(e).backgroundColor))
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1])
  }
  const opacity = el => {
    let all = 1
    for (let e = el; e; e = e.parentElement) all *= Number(getComputedStyle(e).opacity)
    return all
  }
  const checkText = (el, colour) => {
    const ground = behind(el)
    const ink = channels(colour)
    ink[3] *= opacity(el)
    const ratio = contrast(over(ink, ground), ground)
    const size = parseFloat(getComputedStyle(el).fontSize), bold = getComputedStyle(el).fontWeight >= 700
    const wanted = size >= 24 || bold && size >= 18.66 ? 3 : 4.5
    if (ratio < wanted - 0.005) say(el, `contrast ${ratio.toFixed(2)}, ${wanted} is wanted: ${(el.textContent || el.placeholder || '').slice(0, 30)}`)
  }
  for (const el of all) {
    if (el.disabled || el.closest('[disabled]')) continue
    if ([...el.childNodes].some(n => n.nodeType === 3 && n.data.trim())) checkText(el, getComputedStyle(el).color)
    if (el.matches('input, textarea')) checkText(el, el.value ? getComputedStyle(el).color : getComputedStyle(el, '::placeholder').color)
    // The edge of a field is what shows where it is.
    if (el.matches('input, textarea, select')) {
      const edge = contrast(over(channels(getComputedStyle(el).borderTopColor), behind(el.parentElement)), behind(el.parentElement))
      if (edge < 2.995) say(el, `its edge has contrast ${edge.toFixed(2)}, 3 is wanted`)
    }
  }

  // ------------------------------------------------------------ size and place

  const least = touch ? 44 : 24
  for (const el of all.filter(el => el.matches('button, input, select, textarea, a[href], summary, .row:not([hidden])'))) {
    const box = el.getBoundingClientRect()
    if (box.height < least - 0.5 || box.width < least - 0.5) say(el, `${Math.round(box.width)}x${Math.round(box.height)} is less than ${least} to hit`)
  }
  const scrolls = el => /auto|scroll/.test(getComputedStyle(el).overflowX)
  for (const el of all) {
    const box = el.getBoundingClientRect()
    if (el.matches('button, input, select, textarea, strong, h1, h2') && !el.closest('#figures') && (box.right > innerWidth + 0.5 || box.left < -0.5)) say(el, 'it reaches beyond the page')
    const style = getComputedStyle(el)
    if (el.matches('button, strong, dd, .label, h1, .connection') && el.scrollWidth > el.clientWidth + 1 && style.overflowX === 'visible' && style.display !== 'inline') say(el, `its text is wider than it: ${el.textContent.slice(0, 30)}`)
    if (el.matches('#lag, #phase, .count, h2 *') && el.scrollWidth > el.clientWidth + 1) say(el, `its text is cut off: ${el.textContent.slice(0, 40)}`)
    if (scrolls(el) && el.scrollWidth > el.clientWidth + 1 && !el.matches('#figures, pre, textarea, input')) say(el, `it must be scrolled sideways: ${el.scrollWidth} in ${el.clientWidth}`)
  }
  if (document.documentElement.scrollWidth > innerWidth) say(document.body, `${document.documentElement.scrollWidth - innerWidth} pixels too wide`)
  const boxes = all.filter(el => el.matches('button, input, select')).map(el => [el, el.getBoundingClientRect()])
  for (const [a, one] of boxes) {
    for (const [b, two] of boxes) {
      const wide = Math.min(one.right, two.right) - Math.max(one.left, two.left), high = Math.min(one.bottom, two.bottom) - Math.max(one.top, two.top)
      if (a !== b && wide > 1 && high > 1 && a.closest('#detail, dialog') === b.closest('#detail, dialog')) say(a, `it lies over ${nameOf(b)}`)
    }
  }

  // ------------------------------------------------------------ references

  const ids = [...document.querySelectorAll('[id]')].map(el => el.id)
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) complaints.push(`two elements are called ${id}`)
  for (const el of all) {
    for (const name of ['aria-controls', 'aria-labelledby', 'aria-describedby', 'aria-activedescendant']) {
      for (const id of (el.getAttribute(name) ?? '').split(' ').filter(Boolean)) if (!document.getElementById(id)) say(el, `${name} names ${id}, which is not there`)
    }
  }
  return [...new Set(complaints)]
})
