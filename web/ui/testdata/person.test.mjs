import { test } from 'node:test'
import assert from 'node:assert/strict'
import { Permit } from './person.js'

// If the page took a grant for another one, it would offer what is refused, or hide what is allowed.
test('what grants allow', () => {
  const p = new Permit('ann', ['read,watch:sensors/', 'write:sensors/{user}/', 'read:app*', { verbs: ['read', 'watch', 'write'], key: 'odd*' }, 'lease,metrics'])
  for (const [want, got] of [
    [true, p.key('read', 'sensors/1')], [false, p.key('read', 'sensors')], [true, p.key('write', 'sensors/ann/x')], [false, p.key('write', 'sensors/bob/x')],
    [true, p.key('read', 'apple')], [true, p.key('write', 'odd*')], [false, p.key('write', 'odd1')],
    [true, p.under('read', 'sensors/1')], [false, p.under('read', '')], [false, p.under('write', 'sensors/')],
    [true, p.may('metrics')], [false, p.may('operate')], [true, p.any('write')], [false, p.any('lock')],
  ]) assert.equal(got, want)
  assert.deepEqual(p.watched(), { prefixes: ['sensors/'], keys: ['odd*'] })
})

// A credential's own grants bound what its user may.
test('both lists of grants must allow', () => {
  const p = new Permit('ann', ['read,watch,write:*', 'metrics'], ['read,watch:a/'])
  assert.deepEqual(p.watched(), { prefixes: ['a/'], keys: undefined })
  assert.equal(p.key('write', 'a/1'), false)
  assert.equal(p.may('metrics'), false)
  assert.deepEqual(new Permit('root', ['admin']).watched(), { prefixes: [''], keys: undefined })
  assert.equal(new Permit('none', []).any('write'), false)
})
