import { test } from 'node:test'
import assert from 'node:assert/strict'
import { controls, ends, formOf, fromField, restoreEnds, same, textOf, toField } from './field.js'
import { describe } from './value.js'
import { format, parse } from './address.js'
import { Store } from './store.js'

// If a value did not come back from a field as it went in, looking at it would change it.
test('a value that is not changed is the same in every form', () => {
  const values = ['', 'a', 'a\r\nb', '\r', '\r\r\n\n', 'a\r\nb\nc\rd', '\ufeffx', 'a\0\x1b\u0085', '😀\r\né', '\n\n', new Uint8Array([0xff, 0, 13, 10]), new Uint8Array(0)]
  for (const value of values) {
    for (const form of typeof value === 'string' ? ['text', 'hex'] : ['hex']) {
      assert.ok(same(fromField(toField(value, form), form, value), value), `${JSON.stringify(value)} as ${form}`)
    }
  }
  assert.equal(formOf(new Uint8Array(1)), 'hex')
  assert.throws(() => fromField('0', 'hex'), /pairs/)
  assert.throws(() => fromField('0g', 'hex'), /pairs/)
  assert.equal(textOf(new Uint8Array([0xff])), null)
  assert.equal(textOf(new Uint8Array([0xef, 0xbb, 0xbf, 0x41])), '\ufeffA')
})

// If a line that nobody touched got another end, the page would write what nobody changed.
test('lines that are not changed keep their ends', () => {
  assert.equal(restoreEnds('a\nX\nc\n', 'a\r\nb\r\nc\r\n'), 'a\r\nX\r\nc\r\n')
  assert.equal(restoreEnds('a\nb\nnew\nc\nd', 'a\r\nb\nc\rd'), 'a\r\nb\nnew\nc\rd')
  assert.equal(restoreEnds('A\nb\nc\nD', 'a\r\nb\nc\rd'), 'A\r\nb\nc\rD')
  assert.equal(restoreEnds('c\nd', 'a\r\nb\nc\rd'), 'c\rd')
  assert.equal(restoreEnds('', 'a\r\nb\n'), '')
  assert.equal(restoreEnds('\n\n\nx\ny', '\r\n\nx\r\ny'), '\r\n\n\nx\r\ny')
})

test('many edits of many texts keep the ends of the lines between', () => {
  let state = 7
  const random = n => { state = (state * 1103515245 + 12345) & 0x7fffffff; return (state >> 8) % n }
  for (let round = 0; round < 300; round++) {
    const lines = Array.from({ length: 1 + random(12) }, (_, i) => `${i}:${'x'.repeat(random(3))}`), end = () => ['\n', '\r\n', '\r'][random(3)]
    const was = lines.map((line, i) => i < lines.length - 1 ? line + end() : line).join('')
    const now = toField(was, 'text').split('\n'), touched = new Set()
    for (let edit = 0; edit < 1 + random(3); edit++) {
      const i = random(now.length)
      touched.add(now[i])
      if (random(3) === 0) now.splice(i, 0, `new${edit}`)
      else now[i] += 'e'
    }
    const after = fromField(now.join('\n'), 'text', was)
    assert.equal(toField(after, 'text'), now.join('\n'))
    for (const line of lines.slice(0, -1)) {
      const of = text => text.slice(text.indexOf(line) + line.length).match(/^(?:\r\n|\r|\n)/)?.[0]
      // The last line has no end to keep, and a line that became the last has none to show.
      if (!touched.has(line) && now.includes(line) && now.at(-1) !== line) assert.equal(of(after), of(was), JSON.stringify([was, now, after]))
    }
  }
})

// If what cannot be seen were not told, two values that look alike could not be told apart.
test('what a value is, in words', () => {
  assert.deepEqual(['\n', '\r\n', 'a\rb', 'a\r\nb\n', 'ab'].map(ends), ['', 'CRLF', 'CR', 'mixed', ''])
  assert.equal(controls('a\r\n\tb\0\x7f'), 2)
  assert.deepEqual(['', 'a', 'a\n', 'a\r\nb\r\n', '{"a":1}', 'a\0', new Uint8Array([255])].map(describe),
    ['empty', 'text', 'text, ends with a line end', 'text, 2 lines, CRLF line ends, ends with a line end', 'JSON, shown with line breaks', 'text, 1 control character', 'bytes, not UTF-8'])
})

// If an address did not come back as what it was made of, a link would show something else.
test('addresses', () => {
  for (const key of [null, 'a/b', 'a?b', 'a?prefix=x', '#', '%41', 'ü 😀', "!'()*~"]) {
    for (const [prefix, filter] of [['', ''], ['a/', ''], ['', 'x&y=1'], ['ü/?', '#']]) assert.deepEqual(parse(format({ key, prefix, filter })), { key, prefix, filter })
  }
  assert.equal(format({ key: null, prefix: '', filter: '' }), '')
  assert.deepEqual(parse('#a/b'), { key: 'a/b', prefix: '', filter: '' }) // as people write it
  assert.deepEqual(parse('#%ff'), { key: null, prefix: '', filter: '' })
})

const put = key => ({ key, rev: 1, version: 1, value: 'x' })
const shown = store => store.rows().map(n => n.path)

// If a new prefix were closed, the first key that a person writes would not be seen.
test('new prefixes are open while there are few keys, and as they were left', () => {
  const store = new Store()
  store.begin()
  store.put(put('a/b/c'), false)
  store.end()
  assert.deepEqual(shown(store), ['a/', 'a/b/', 'a/b/c'])
  assert.equal(store.put(put('x/y/z'), true), true)
  assert.equal(store.put(put('x/y/z'), true), false)
  assert.deepEqual(shown(store).slice(3), ['x/', 'x/y/', 'x/y/z'])
  store.choose(store.rows()[1])
  store.delete({ key: 'a/b/c' })
  store.put(put('a/b/d'), true)
  assert.deepEqual(shown(store).slice(0, 3), ['a/', 'a/b/', 'x/'])
  store.begin() // after a lost connection
  store.put(put('a/b/d'), false)
  store.end()
  assert.deepEqual(shown(store), ['a/', 'a/b/'])
  assert.deepEqual([store.has('a/'), store.has('a/b/'), store.has('a/b/d'), store.has('x/'), store.has('a/c/')], [true, true, true, false, false])
  const again = new Store(store.choices)
  again.put(put('a/b/d'), true)
  assert.deepEqual(shown(again), ['a/', 'a/b/'])
})

test('prefixes of a large store are closed, and a key can be revealed', () => {
  const store = new Store()
  store.begin()
  for (let i = 0; i < 300; i++) store.put(put(`p${i % 3}/q/k${i}`), false)
  store.end()
  assert.deepEqual(shown(store), ['p0/', 'p1/', 'p2/'])
  store.put(put('new/q/key'), true)
  assert.deepEqual(shown(store), ['new/', 'p0/', 'p1/', 'p2/'])
  store.reveal('new/q/key')
  assert.deepEqual(shown(store).slice(0, 3), ['new/', 'new/q/', 'new/q/key'])
})
