import { test } from 'node:test'
import assert from 'node:assert/strict'
import { Store, MAX_KEYS } from './store.js'
import { Samples } from './spark.js'
import { parse, logNote } from './figures.js'
import { span, clock, bytes, count, text } from './dom.js'

const put = (key, rev, value = String(rev)) => ({ key, rev, version: 1, value })
const keysOf = store => store.rows().filter(n => !n.folder).map(n => n.path)

function openAll(store) {
  for (let more = true; more;) {
    more = false
    for (const n of store.rows()) if (n.folder && !n.open) { store.toggle(n); more = true }
  }
}

// If the tree lost, kept or misplaced a key, people would look for what is
// there and find what is not.
test('the tree is what a plain list of keys says', () => {
  for (let seed = 1; seed <= 40; seed++) {
    let state = seed
    const random = n => { state = (state * 1103515245 + 12345) & 0x7fffffff; return (state >> 8) % n }
    const store = new Store(), model = new Map()
    for (let rev = 1; rev < 300; rev++) {
      const key = Array.from({ length: 1 + random(3) }, () => 'abc'[random(3)] + random(3)).join('/')
      if (random(3)) { model.set(key, rev); store.put(put(key, rev), true) }
      else { model.delete(key); store.delete({ key }) }
      if (random(40) === 0) { // the full state again, without some of it
        for (const k of [...model.keys()]) if (random(2)) model.delete(k)
        store.begin()
        for (const [k, r] of model) store.put(put(k, r), false)
        store.end()
      }
      if (random(10) === 0) openAll(store)
      assert.equal(store.root.keys, model.size)
    }
    openAll(store)
    const rows = store.rows()
    assert.deepEqual(rows.filter(n => !n.folder).map(n => n.path).sort(), [...model.keys()].sort(), `seed ${seed}`)
    for (const n of rows) {
      if (n.folder) assert.equal(n.keys, [...model.keys()].filter(k => k.startsWith(n.path)).length, n.path)
      else assert.equal(n.value, String(model.get(n.path)))
    }
    store.filter = 'A1'
    assert.deepEqual(keysOf(store).sort(), [...model.keys()].filter(k => k.includes('a1')).sort())
  }
})

// If the store took whatever came, a large server would end the tab.
test('the store says when it is full', () => {
  const store = new Store()
  for (let i = 0; i <= MAX_KEYS; i++) {
    assert.equal(store.full, false)
    store.put(put(`k/${i}`, i + 1), false)
  }
  assert.equal(store.full, true)
})

// If samples came in another order, every small chart would be wrong.
test('samples keep the last', () => {
  const s = new Samples(4)
  for (let i = 1; i <= 6; i++) s.push(i)
  assert.deepEqual([s.length, s.at(0), s.last, s.range()], [4, 3, 6, [3, 6]])
})

// If metrics were misread, the figures would be.
test('metrics', () => {
  const m = parse('# HELP keywatch_keys Keys.\nkeywatch_keys 5\nkeywatch_r{a="x y",b="1"} 2\nkeywatch_r{a="z",b="1"} 1.5e+06\ngo_threads 9\n')
  assert.deepEqual([m.get('keywatch_keys'), m.get('keywatch_r'), m.get('keywatch_r{a="x y",b="1"}'), m.size], [5, 1500002, 2, 4])
})

// If it were not said, somebody would look for the fault in what writes.
test('a full disk is told', () => {
  assert.equal(logNote({ durability: 'memory', detail: {} }), 'memory')
  assert.equal(logNote({ detail: { log: { fsync_mean_us: 1210 } } }), 'fsync 1.21 ms')
  assert.equal(logNote({ detail: { log: { fsync_mean_us: 1210, no_room: '0 bytes are free' } } }), 'disk full: no writes')
})

// If numbers read badly, a glance would not do.
test('formats', () => {
  assert.deepEqual([0, 999, 1000, 61_000, 3_600_000, 90_000_000].map(span), ['now', 'now', '1s', '1m', '1h', '1d'])
  assert.deepEqual([-1, 9400, 61_000, 3_661_000, 90_000_000].map(clock), ['0.0 s', '9.4 s', '1:01', '1:01:01', '1d 01h'])
  assert.deepEqual([0, 1023, 1536, 50 * 1024 ** 2].map(bytes), ['0 B', '1023 B', '1.5 KiB', '50 MiB'])
  assert.deepEqual([0, 3.14, 1234, 123456, 2.5e6].map(count), ['0', '3.1', '1,234', '123k', '2.5M'])
  assert.equal(text(new Uint8Array([1, 255])), '01 ff')
})
