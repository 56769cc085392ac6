import { test } from 'node:test'
import assert from 'node:assert/strict'
import { Mirror } from './keywatch.mjs'

function mirror() {
  let handlers
  const steps = []
  const m = new Mirror(h => { handlers = h; return { close() {}, pause() {}, resume() {}, phase: 'live' } })
  m.onchange(step => steps.push(step))
  const say = message => {
    if (Array.isArray(message)) {
      handlers.batch(message)
      message.forEach(e => handlers.event?.(e))
      return
    }
    handlers[message.type]?.(message)
    handlers.event?.(message)
  }
  return { m, steps, say, content: () => Object.fromEntries([...m].map(([k, e]) => [k, e.value])) }
}

const put = (key, rev, pos) => ({ type: 'put', key, value: `${key}${rev}`, rev, pos })
const del = (key, rev, pos) => ({ type: 'delete', key, rev, pos })

// If the copy were shown while it fills, it would be wrong for that long.
test('a state appears at once, as what it changes', async () => {
  const { m, steps, say, content } = mirror()
  say({ type: 'reset', pos: 'e-0' })
  say([put('a', 1), put('b', 2)])
  assert.equal(m.size, 0)
  say({ type: 'synced', pos: 'e-2' })
  await m.ready
  assert.deepEqual(content(), { a: 'a1', b: 'b2' })
  say([put('a', 3), del('b', 3, 'e-3')])
  assert.equal(m.position, 'e-3')
  say({ type: 'reset', pos: 'f-0' })
  say([put('a', 3), put('c', 9)])
  assert.deepEqual(content(), { a: 'a3' })
  say({ type: 'synced', pos: 'f-9' })
  assert.deepEqual(content(), { a: 'a3', c: 'c9' })
  assert.deepEqual(steps.map(s => [s.cause, s.changes.map(c => c.key), s.position]), [
    ['reset', ['a', 'b'], 'e-2'], ['change', ['a', 'b'], 'e-3'], ['reset', ['c'], 'f-9']])
})

// If another history that has the same revision were taken for the same, values
// would be shown that nobody wrote there.
test('a new epoch is compared by what it says, not by revision', () => {
  const { m, steps, say, content } = mirror()
  const entry = (value, more = {}) => ({ type: 'put', key: 'a', rev: 1, version: 1, create_rev: 1, value, ...more })
  const reset = (epoch, e) => { say({ type: 'reset', pos: `${epoch}-0` }); say([e]); say({ type: 'synced', pos: `${epoch}-1` }) }
  reset('e', entry('one'))
  reset('f', entry('two'))
  assert.deepEqual(content(), { a: 'two' })
  reset('g', entry(new Uint8Array([1])))
  reset('h', entry(new Uint8Array([2])))
  assert.deepEqual(m.get('a').value, new Uint8Array([2]))
  reset('i', entry(new Uint8Array([2])))
  assert.equal(steps.length, 4)
})

// If a resync that was cut left its traces, keys would be shown that are gone.
test('a resync counts when it is complete', () => {
  const { m, say, content } = mirror()
  say({ type: 'reset', pos: 'e-0' })
  say([put('a', 1), put('b', 2)])
  say({ type: 'synced', pos: 'e-2' })
  say({ type: 'resync', pos: undefined })
  say([del('a', 5), put('x', 6)])
  say({ type: 'resync' })
  say([put('b', 7)])
  assert.deepEqual(content(), { a: 'a1', b: 'b2' })
  say({ type: 'synced', pos: 'e-7' })
  assert.deepEqual(content(), { a: 'a1', b: 'b7' })
  assert.equal(m.position, 'e-7')
})

// If any mix of these came out wrong, a copy could not be relied upon.
test('random histories end as the model does', () => {
  for (let seed = 1; seed <= 200; seed++) {
    let state = seed
    const random = n => { state = (state * 1103515245 + 12345) & 0x7fffffff; return state % n }
    const { m, steps, say, content } = mirror()
    const model = new Map(), seen = new Map()
    let rev = 0
    m.onchange(({ changes }) => { for (const c of changes) c.after ? seen.set(c.key, c.after.value) : seen.delete(c.key) })
    const change = () => {
      rev++
      const events = [...new Set(Array.from({ length: 1 + random(3) }, () => `k${random(8)}`))].map(key => {
        if (random(3) === 0 && model.has(key)) { model.delete(key); return del(key, rev) }
        model.set(key, put(key, rev))
        return put(key, rev)
      })
      events.at(-1).pos = `e-${rev}`
      return events
    }
    const full = () => { say({ type: 'reset', pos: 'e-0' }); for (const e of model.values()) say([{ ...e }]); say({ type: 'synced', pos: `e-${rev}` }) }
    full()
    for (let i = 0; i < 60; i++) {
      const missed = [...model.keys()]
      switch (random(6)) {
        case 0: change(); full(); break
        case 1: // changes that are told by a resync
          change(); change()
          say({ type: 'resync' })
          for (const key of missed) if (!model.has(key)) say([del(key, rev)])
          for (const e of model.values()) say([{ ...e }])
          say({ type: 'synced', pos: `e-${rev}` })
          break
        default: say(change())
      }
      const want = Object.fromEntries([...model].map(([k, e]) => [k, e.value]))
      assert.deepEqual(content(), Object.fromEntries(Object.entries(content()).filter(([k]) => k in want)), `seed ${seed}`)
      assert.deepEqual(new Map(Object.entries(content()).sort()), new Map(Object.entries(want).sort()), `seed ${seed} step ${i}`)
      assert.deepEqual(new Map([...seen].sort()), new Map(Object.entries(want).sort()), `seed ${seed} step ${i}: what was told`)
    }
    assert.ok(steps.length > 0)
  }
})
