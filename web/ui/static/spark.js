// Small lines on small canvases, and the colours for them.

export const palette = { line: '#000', fill: '#0001' }

/** readPalette takes the colours of the theme that now holds; canvases know no style sheet. */
export function readPalette() {
  const probe = document.createElement('i')
  probe.className = 'palette'
  document.body.append(probe)
  const style = getComputedStyle(probe)
  palette.line = style.color
  palette.fill = style.backgroundColor
  probe.remove()
}

/** A Samples keeps the last numbers of one thing, oldest first. */
export class Samples {
  #ring; #next = 0
  length = 0

  constructor(size) { this.#ring = new Float64Array(size) }

  push(n) {
    this.#ring[this.#next] = n
    this.#next = (this.#next + 1) % this.#ring.length
    this.length = Math.min(this.length + 1, this.#ring.length)
  }

  at(i) { return this.#ring[(this.#next - this.length + i + 2 * this.#ring.length) % this.#ring.length] }
  get last() { return this.at(this.length - 1) }
  get capacity() { return this.#ring.length }

  range() {
    let low = Infinity, high = -Infinity
    for (let i = 0; i < this.length; i++) {
      const n = this.at(i)
      if (n < low) low = n
      if (n > high) high = n
    }
    return [low, high]
  }
}

let resizes = 1
const sizes = new WeakMap() // canvas -> its size, asked for once: asking makes the browser lay out
globalThis.addEventListener?.('resize', () => resizes++)

function sizeOf(canvas) {
  let size = sizes.get(canvas)
  if (size?.resizes === resizes) return size
  size = { resizes, width: canvas.clientWidth, height: canvas.clientHeight }
  if (size.width) sizes.set(canvas, size)
  return size
}

/** draw fills the canvas with the line of samples; from 0 if zero is set. */
export function draw(canvas, samples, zero = false) {
  const ratio = devicePixelRatio || 1
  const { width, height } = sizeOf(canvas)
  if (!width || !height) return
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio)
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio)
  const c = canvas.getContext('2d')
  c.setTransform(ratio, 0, 0, ratio, 0, 0)
  c.clearRect(0, 0, width, height)
  if (!samples || samples.length < 2) return
  let [low, high] = samples.range()
  if (zero) low = Math.min(0, low)
  const scale = high > low ? (height - 4) / (high - low) : 0
  // The line fills the width as it grows, from a fifth on.
  const step = width / (Math.max(samples.length, samples.capacity / 5) - 1)
  const left = width - (samples.length - 1) * step
  const y = i => scale ? height - 2 - (samples.at(i) - low) * scale : zero ? height - 2 : height / 2
  c.beginPath()
  for (let i = 0; i < samples.length; i++) c.lineTo(left + i * step, y(i))
  c.strokeStyle = palette.line
  c.lineWidth = 1.25
  c.lineJoin = 'round'
  c.stroke()
  c.lineTo(width, height)
  c.lineTo(left, height)
  c.fillStyle = palette.fill
  c.fill()
}
