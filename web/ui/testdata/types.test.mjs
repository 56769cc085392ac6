import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import * as module from './keywatch.mjs'

const text = readFileSync('keywatch.d.ts', 'utf8').replace(/\/\*[^]*?\*\//g, '')

/** INNER are exported for tests alone and are nobody's business. */
const INNER = ['Hub']

/** body returns the members that a class or interface declares. */
function declared(name) {
  const found = text.match(new RegExp(`^export (?:class|interface) ${name}\\b[^{]*\\{([^]*?)^\\}`, 'm'))
  assert.ok(found, `${name} is not declared`)
  return new Set([...found[1].matchAll(/^ {2}(?:readonly )?([a-z][A-Za-z]*)\??[(:<]/gm)].map(m => m[1]).filter(n => n !== 'constructor'))
}

/** present returns the public members that an object has. */
function present(object, upTo = Object.prototype) {
  const names = new Set(Object.getOwnPropertyNames(object))
  for (let at = Object.getPrototypeOf(object); at && at !== upTo; at = Object.getPrototypeOf(at)) for (const n of Object.getOwnPropertyNames(at)) names.add(n)
  names.delete('constructor')
  return names
}

const same = (got, want, what) => assert.deepEqual([...got].sort(), [...want].sort(), what)

// If the types named what is not there, or left out what is, an editor would
// lead people into errors at run time.
test('every export is declared, and every declared one is there', () => {
  const values = [...text.matchAll(/^export (?:class|function|const) ([A-Za-z]+)/gm)].map(m => m[1])
  for (const name of values) assert.equal(typeof module[name], 'function', name)
  const types = [...text.matchAll(/^export (?:class|function|const|interface|type) ([A-Za-z]+)/gm)].map(m => m[1])
  for (const name of Object.keys(module)) assert.ok(types.includes(name) || INNER.includes(name), `${name} is not declared`)
})

test('members of Keywatch, Watch and Mirror', () => {
  const kw = new module.Keywatch({ url: 'http://127.0.0.1:1', share: false, transport: 'sse', fetch: () => new Promise(() => {}) })
  same(present(kw, EventTarget.prototype), declared('Keywatch'))
  const watch = kw.watch({ keys: ['a'] }, {})
  same(present(watch), declared('Watch'))
  const mirror = kw.mirror()
  same(present(mirror), declared('Mirror'))
  kw.close()
})

test('members of KeywatchError', () => {
  const err = new module.KeywatchError('denied', 'why', { detail: 'why', limit: 1 })
  for (const name of declared('KeywatchError')) assert.ok(name in err, name)
  assert.ok(err instanceof Error)
})
