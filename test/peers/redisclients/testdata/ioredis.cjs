// What ioredis and redlock do first, and what services do with them.
const assert = require('node:assert')
const { Redis } = require('ioredis')
const Redlock = require('redlock')

async function main() {
  const r = new Redis({ port: Number(process.argv[2]) }) // its ready check asks INFO
  r.on('error', err => { throw err })
  assert.equal(await r.set('io', '1', 'EX', 100), 'OK')
  assert.equal(await r.incr('io'), 2)
  assert.deepEqual(await r.multi().set('io:a', '1').incr('io:a').get('io:a').exec(), [[null, 'OK'], [null, 2], [null, '2']])
  assert.deepEqual(await r.pipeline().get('io').get('io:none').exec(), [[null, '2'], [null, null]])
  await r.mset(Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`io:s:${i}`, i])))
  const found = new Set()
  for await (const keys of r.scanStream({ match: 'io:s:*', count: 7 })) for (const k of keys) { assert(!found.has(k)); found.add(k) }
  assert.equal(found.size, 300)

  await r.watch('io:w')
  await new Promise((done, fail) => new Redis(r.options.port).set('io:w', 'x').then(done, fail))
  assert.equal(await r.multi().set('io:w', 'y').exec(), null)

  const lib = new Redlock([r], { retryCount: 0 })
  const lock = await lib.lock('io:lock', 5000)
  await assert.rejects(lib.lock('io:lock', 5000))
  const longer = await lock.extend(8000)
  assert((await r.pttl('io:lock')) > 5000)
  await longer.unlock()
  assert.equal(await r.exists('io:lock'), 0)

  const sub = new Redis(r.options.port)
  await sub.subscribe('kw:watch?prefix=io:live')
  const events = []
  const two = new Promise(done => sub.on('message', (_, body) => { events.push(JSON.parse(body)); if (events.length === 3) done() }))
  await r.set('io:live', 'now')
  await two
  assert.deepEqual(events.map(e => e.type), ['reset', 'synced', 'put'])
  assert.equal(events[2].value, 'now')
  console.log('ok')
  process.exit(0)
}
main().catch(err => { console.error(err); process.exit(1) })
