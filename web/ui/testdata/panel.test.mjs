import { test } from 'node:test'
import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Recent } from './recent.js'
import { Store } from './store.js'
import { dump, preview } from './dom.js'
import { indent } from './value.js'

// If the page wrote numbers or names anew to give JSON lines, it would show what
// is not there: 2^60 and 1.0 do not come back from a parser as they were.
test('JSON is moved, not written anew', () => {
  const bare = '{"n":1152921504606846977,"f":1.0,"e":[],"o":{ },"s":"a: {b}, [c] \\"d\\\\","s":[1,[true]]}'
  assert.equal(indent(bare), `{
  "n": 1152921504606846977,
  "f": 1.0,
  "e": [],
  "o": {},
  "s": "a: {b}, [c] \\"d\\\\",
  "s": [
    1,
    [
      true
    ]
  ]
}`)
  assert.equal(indent(indent(bare)), indent(bare))
})

// If bytes were shown at the wrong place, nobody could find them.
test('a dump', () => {
  assert.equal(dump(new Uint8Array([0x30, 0, 0xff, 0x7e, 0x41, 0x42, 0x43, 0x44, 0x45])), '000000  30 00 ff 7e 41 42 43 44  0··~ABCD\n000008  45                       E')
  assert.equal(dump(new Uint8Array(20), 8), `000000  00 00 00 00 00 00 00 00  ········\n… 12 B more`)
})

// If a line break went into a row, only half of the value would be seen.
test('a preview is one line', () => {
  assert.equal(preview('{\n\t"a": 1\r\n}\u0000x', 100), '{ "a": 1 } x')
  assert.equal(preview('abcdef', 3), 'abc')
  assert.equal(preview(new Uint8Array(2), 3), '2 bytes, not text')
})

// If what is shown of a value kept all of it, large values would end the tab.
test('a preview keeps the beginning only', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc')
  const store = new Store()
  collect()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < 100; i++) {
    const value = Buffer.alloc(1 << 20, 'x').toString('latin1') + i
    store.put({ key: `k${i}`, rev: i + 1, version: 1, type: 'put', value }, true)
  }
  collect()
  const kept = process.memoryUsage().heapUsed - before
  assert.ok(kept < 20 << 20, `${kept >> 20} MiB are kept of 100 values of 1 MiB`)
  assert.equal(store.keys.get('k7').value, 'x'.repeat(300))
})

// If another history that has the same revision were taken for the same, the
// tree would show values that nobody wrote there.
test('the tree after a reset shows the new history', () => {
  const store = new Store()
  const state = value => { store.begin(); store.put({ key: 'a', rev: 1, version: 1, type: 'put', value }, false); store.end() }
  state('one')
  state('two')
  assert.equal(store.keys.get('a').value, 'two')
})

// If the past of a key were another's, or upside down, it would mislead.
test('recent changes are the last ones, the newest first', () => {
  const recent = new Recent(10)
  for (let i = 1; i <= 25; i++) recent.add({ key: i % 3 ? 'b' : 'a', type: 'put', version: i, rev: i, value: String(i) })
  assert.deepEqual(recent.of('a', 50).map(c => c.version), [24, 21, 18])
  assert.deepEqual(recent.of('b', 2).map(c => c.version), [25, 23])
  recent.add({ key: 'a', type: 'delete', cause: 'expired', rev: 26 })
  assert.deepEqual(recent.of('a', 1).map(c => [c.type, c.cause, c.value]), [['delete', 'expired', '']])
})
