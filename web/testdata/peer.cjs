// A strict WebSocket peer, made of the package ws: each case prints its name and
// whether it went as it must.
const WebSocket = require('ws')
const url = process.argv[2]

function open(query = '') {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url + query, 'keywatch.v1.json', { autoPong: true })
    const inbox = [], waiting = []
    ws.next = () => inbox.length ? Promise.resolve(inbox.shift()) : new Promise(r => waiting.push(r))
    const deliver = x => waiting.length ? waiting.shift()(x) : inbox.push(x)
    ws.on('message', (data, binary) => deliver(binary ? { binary } : JSON.parse(data.toString())))
    ws.closed = new Promise(r => ws.on('close', (code, reason) => { deliver({ closed: code }); r({ code, reason: reason.toString() }) }))
    ws.on('error', e => { ws.failure = e.message })
    ws.on('open', () => resolve(ws))
    ws.on('unexpected-response', (_, res) => reject(new Error('status ' + res.statusCode)))
  })
}

function equal(got, want) {
  const a = JSON.stringify(got), b = JSON.stringify(want)
  if (a !== b) throw new Error(`got ${a.slice(0, 300)}, want ${b.slice(0, 300)}`)
}

// A frame that no well-behaved peer sends, written past the library.
function raw(ws, first, payload = '') {
  const body = Buffer.from(payload, 'latin1')
  ws._socket.write(Buffer.concat([Buffer.from([first, 0x80 | body.length, 0, 0, 0, 0]), body]))
}

const closes = (first, payload, code) => async () => {
  const ws = await open()
  raw(ws, first, payload)
  const { code: got } = await ws.closed
  equal([got, ws.failure], [code, undefined])
}

const cases = {
  async ops() {
    const ws = await open('?key=n/1')
    equal(ws.protocol, 'keywatch.v1.json')
    equal(ws.extensions, '')
    equal((await ws.next()).type, 'reset')
    equal((await ws.next()).type, 'synced')
    ws.send('{"id":1,"op":"put","key":"n/1","value":"\u{1f600}"}')
    const got = [await ws.next(), await ws.next()]
    const event = got.find(x => x.type), answer = got.find(x => x.id)
    equal([event.value, event.watch, answer.ok, answer.created], ['\u{1f600}', 0, true, true])
    ws.send(JSON.stringify({ id: 2, op: 'get', key: 'n/1' }))
    equal((await ws.next()).etag, answer.etag)
    ws.send(JSON.stringify({ id: 3, op: 'delete', key: 'n/1', if_match: answer.etag }))
    equal([await ws.next(), await ws.next()].filter(x => x.deleted || x.type === 'delete').length, 2)
    ws.close(1000, 'done')
    equal(await ws.closed, { code: 1000, reason: '' })
  },
  async fragments() {
    const ws = await open()
    const text = '{"id":1,"op":"put","key":"n/f","value":"κόσμε"}'
    const bytes = Buffer.from(text)
    for (let i = 0; i < bytes.length; i++) {
      ws.send(bytes.subarray(i, i + 1), { fin: i === bytes.length - 1, binary: false })
      if (i % 7 === 0) ws.ping('between')
    }
    equal((await ws.next()).ok, true)
    ws.send('{"id":2,"op":"get","key":"n/f"}')
    equal((await ws.next()).value, 'κόσμε')
    ws.terminate()
  },
  async sizes() {
    const ws = await open()
    let id = 0
    for (const size of [0, 1, 50, 125, 126, 127, 1000, 65000, 65535, 65536, 65537, 300000, 1048576]) {
      const value = 'x'.repeat(size)
      ws.send(JSON.stringify({ id: ++id, op: 'put', key: 'n/s', value }))
      equal((await ws.next()).ok, true)
      ws.send(JSON.stringify({ id: ++id, op: 'get', key: 'n/s' }))
      equal((await ws.next()).value.length, size)
    }
    ws.close()
    equal((await ws.closed).code, 1005)
  },
  async pings() {
    const ws = await open()
    for (const payload of ['', 'a', 'x'.repeat(125)]) {
      const pong = new Promise(r => ws.once('pong', r))
      ws.ping(payload)
      equal((await pong).toString(), payload)
    }
    ws.pong('unasked')
    ws.send('{"id":1,"op":"ping"}')
    equal((await ws.next()).ok, true)
    ws.terminate()
  },
  async pipelines() {
    const ws = await open()
    for (let i = 1; i <= 500; i++) ws.send(JSON.stringify({ id: i, op: 'put', key: 'n/p', value: String(i) }))
    for (let i = 1; i <= 500; i++) equal((await ws.next()).id, i)
    ws.send('{"id":501,"op":"get","key":"n/p"}')
    equal((await ws.next()).value, '500')
    ws.terminate()
  },
  async closeCodes() {
    for (const code of [1000, 3000, 3999, 4000, 4999]) {
      const ws = await open()
      ws.close(code, 'é'.repeat(61))
      equal((await ws.closed).code, code)
    }
  },
  async otherProtocol() {
    const ws = new WebSocket(url, 'chat')
    const status = await new Promise(r => { ws.on('unexpected-response', (_, res) => r(res.statusCode)); ws.on('error', () => {}) })
    equal(status, 400)
  },
  async binary() {
    const ws = await open()
    ws.send(Buffer.from('{"id":1,"op":"ping"}'), { binary: true })
    equal((await ws.closed).code, 1003)
  },
  async badCodes() {
    for (const code of [0, 999, 1004, 1006, 1015, 1016, 2999, 5000]) {
      const ws = await open()
      raw(ws, 0x88, String.fromCharCode(code >> 8, code & 255))
      equal((await ws.closed).code, 1002)
    }
  },
  async unmasked() {
    const ws = await open()
    ws._socket.write(Buffer.from([0x81, 0x02, 0x7b, 0x7d]))
    equal([(await ws.closed).code, ws.failure], [1002, undefined])
  },
  async manyWatches() {
    const ws = await open()
    for (let id = 1; id <= 200; id++) ws.send(JSON.stringify({ id, op: 'watch', keys: ['n/w' + id % 10], state: false }))
    let synced = 0
    while (synced < 200) if ((await ws.next()).type === 'synced') synced++
    ws.send('{"id":201,"op":"put","key":"n/w3","value":"x"}')
    const got = new Set()
    while (got.size < 20) {
      const m = await ws.next()
      if (m.type === 'put') got.add(m.watch)
    }
    equal([...got].every(id => id % 10 === 3), true)
    ws.close()
    equal((await ws.closed).code, 1005)
  },
  reservedBit: closes(0xc1, 'a', 1002),
  opcode: closes(0x83, 'a', 1002),
  strayContinuation: closes(0x80, 'a', 1002),
  fragmentedPing: closes(0x09, 'a', 1002),
  notText: closes(0x81, '\xed\xa0\x80', 1007),
  halfCode: closes(0x88, '\x03', 1002),
  badCode: closes(0x88, '\x03\xed', 1002),
  badReason: closes(0x88, '\x03\xe8\xff', 1007),
}

// A server that stops says so on each socket, after what it has still to say.
async function stops() {
  const all = await Promise.all([open('?prefix='), open(), open('?key=n/stop')])
  equal((await all[0].next()).type, 'reset')
  all[1].send('{"id":1,"op":"put","key":"n/stop","value":"last"}')
  equal((await all[1].next()).ok, true)
  console.log('ready')
  for (const ws of all) {
    const { code } = await ws.closed
    equal([code, ws.failure], [1012, undefined])
  }
}

async function main() {
  if (process.argv[3] === 'stop') {
    for (const name of Object.keys(cases)) delete cases[name]
    cases.stops = stops
  }
  for (const [name, run] of Object.entries(cases)) {
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error('took 10 s')), 10000).unref())
    try {
      await Promise.race([run(), late])
      console.log('ok', name)
    } catch (e) {
      console.log('FAILED', name, e.message)
    }
  }
  process.exit(0)
}
main()
