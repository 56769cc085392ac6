import { test } from 'node:test'
import assert from 'node:assert/strict'
import { EventParser } from './keywatch.mjs'

function parse(...pieces) {
  const events = [], retries = []
  const parser = new EventParser(e => events.push(e), ms => retries.push(ms))
  for (const piece of pieces) parser.push(piece)
  return { events, retries }
}

const message = (data, event = 'message', id = undefined) => ({ event, data, id })

// If the parser strayed from the standard, some proxy's rewriting would break it.
for (const [name, text, want] of [
  ['a byte order mark', '\ufeffdata: a\n\n', [message('a')]],
  ['only one of them', '\ufeff\ufeffdata: a\n\n', []],
  ['carriage returns', 'data: a\rdata: b\r\r', [message('a\nb')]],
  ['both line ends', 'data: a\r\ndata: b\r\n\r\n', [message('a\nb')]],
  ['no space', 'data:a\n\n', [message('a')]],
  ['only one space goes', 'data:  a\n\n', [message(' a')]],
  ['a field without a colon', 'data\n\n', [message('')]],
  ['data twice', 'data\ndata\n\n', [message('\n')]],
  ['comments', ': hello\n\ndata: a\n:data: b\n\n', [message('a')]],
  ['an event without data', 'event: x\n\ndata: a\n\n', [message('a')]],
  ['a name', 'event: put\ndata: a\n\ndata: b\n\n', [message('a', 'put'), message('b')]],
  ['an id of its own only', 'id: 1\ndata: a\n\ndata: b\n\n', [message('a', 'message', '1'), message('b')]],
  ['an empty id', 'id\ndata: a\n\n', [message('a', 'message', '')]],
  ['an id with NUL', 'id: 1\0\ndata: a\n\n', [message('a')]],
  ['an unknown field', 'date: x\ndata: a\n\n', [message('a')]],
  ['case', 'Data: x\ndata: a\n\n', [message('a')]],
  ['an end without an empty line', 'data: a\n\ndata: b\n', [message('a')]],
]) {
  test(name, () => assert.deepEqual(parse(text).events, want))
}

// If retry took anything but digits, a server could stop a client for ever.
test('retry', () => {
  assert.deepEqual(parse('retry: 1500\nretry: 1e3\nretry: -1\nretry:\nretry: 20\n').retries, [1500, 20])
})

// If a piece could end at a bad place, an event would be lost once in a while.
test('pieces of every size', () => {
  const text = '\ufeffevent: put\r\ndata: {"a":1}\r\nid: e-1\r\n\r\n: c\rdata: x\rdata\r\rretry: 5\ndata: ü€\n\n'
  const want = parse(text).events
  assert.equal(want.length, 3)
  for (let size = 1; size < text.length; size++) {
    const pieces = []
    for (let i = 0; i < text.length; i += size) pieces.push(text.slice(i, i + size))
    assert.deepEqual(parse(...pieces).events, want, `pieces of ${size}`)
  }
})
