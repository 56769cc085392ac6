import { test } from 'node:test'
import assert from 'node:assert/strict'
import { columns, faults, lag, summary } from './nodes.js'

const member = more => ({ id: '1', name: 'n1', role: 'voter', state: 'ready', url: 'http://n1:7070', lag_ms: 0, behind: 0, version: 'v1', room: true, disk_free: 5 * 2 ** 30, ...more })
const cluster = (members, more) => ({ cluster: 'c', term: 7, leader: 'n1', copies: '2/3', tolerates: 1, members, ...more })

// If it were not told, an operator would believe that all is well.
test('what is wrong is told, the worst first', () => {
  assert.deepEqual(faults(cluster([member(), member({ name: 'n2' })])), [])
  assert.deepEqual(faults(cluster([member({ room: false }), member({ name: 'n2', state: 'unreachable', room: false })], { leader: '' })),
    ['no leader', 'n2 unreachable', 'n1 disk full'])
})

// If a column said something else, the page would be worse than none.
test('a server in a row', () => {
  const row = (m, d = cluster([m])) => Object.fromEntries(columns.map(([name, say, bad]) => [name, say(m, d) + (bad?.(m) ? ' !' : '')]))
  assert.deepEqual(row(member()), { Role: 'leader', State: 'ready', Lag: '0 ms', Behind: 'nothing', Disk: '5.0 GiB free', Version: 'v1' })
  assert.deepEqual(row(member({ name: 'n2', role: 'observer', state: 'lagging', lag_ms: 6100, behind: 1, room: false, disk_free: -1 })),
    { Role: 'observer', State: 'lagging !', Lag: '6.1 s', Behind: '1 entry', Disk: 'full !', Version: 'v1' })
  assert.deepEqual(row(member({ name: 'n2', state: 'unreachable', lag_ms: -1, behind: 1234, version: '' })),
    { Role: 'voter', State: 'unreachable !', Lag: '–', Behind: '1,234 entries', Disk: '–', Version: '–' })
})

test('the whole', () => {
  assert.equal(lag(-1), '–')
  assert.equal(summary(cluster([])), 'Cluster c, term 7: 3 voters, of which 1 may fail.')
  assert.equal(summary(cluster([], { copies: '2/2', tolerates: 0, from: 'n2' })), 'Cluster c, term 7: 2 voters, of which none may fail. The leader did not answer: this is what n2 knows.')
})
