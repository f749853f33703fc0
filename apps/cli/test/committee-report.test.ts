import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { orderLine, reportCommittee } from '../src/commands/committee-report.ts'
import type { ProcessReport } from '../src/commands/status.ts'

function validator(number: number, orderer?: object): ProcessReport {
  const name = `validator-${number}`
  const status = orderer ? { orderer } : {}
  return { name, role: 'validator', pid: 2, running: true, ok: true, checks: [], ports: {}, status }
}
const member = (round: number, more: object = {}) => ({
  kind: 'r2s',
  round,
  certifiedHeight: '41',
  coin: 'dealt by one dealer (development)',
  commitMs: { p50: 80, p99: 200, count: 9 },
  evidence: [],
  ...more,
})

describe('what status says of a committee', () => {
  it('is the furthest round and height, the slowest commit, and how the coin came about', () => {
    const report = reportCommittee([
      validator(1, member(900)),
      validator(2, member(901, { commitMs: undefined, certifiedHeight: '40' })),
      validator(3, member(899, { commitMs: { p50: 95, p99: 120, count: 3 } })),
      validator(4, member(901)),
    ])
    assert.deepEqual(report, {
      size: 4,
      round: 901,
      certifiedHeight: 41,
      commitMs: { p50: 95, p99: 120 },
      coin: 'dealt by one dealer (development)',
      lagging: [],
      traitors: [],
    })
  })

  it('names who is behind, who does not answer, and who spoke with two tongues', () => {
    const report = reportCommittee([
      validator(1, member(900, { evidence: [{ kind: 'blocks', member: 3 }] })),
      validator(2, member(700)),
      validator(3),
      validator(4, member(890, { evidence: [{ kind: 'votes', member: 3 }] })),
    ])
    assert.deepEqual(report?.lagging, [{ name: 'validator-2', rounds: 200 }, { name: 'validator-3' }])
    assert.deepEqual(report?.traitors, ['validator-4'])
  })

  it('is nothing where one validator orders alone, or nobody answers', () => {
    const alone = validator(1, { kind: 'single', decided: '7' })
    assert.equal(reportCommittee([alone]), undefined)
    assert.equal(reportCommittee([validator(1), validator(2), validator(3), validator(4)]), undefined)
    assert.deepEqual(orderLine(alone), [])
  })

  it('fits in a line for each member', () => {
    assert.deepEqual(orderLine(validator(1, member(900))), ['certified 41', 'round 900', 'commit 80 ms'])
    const silent = member(900, { commitMs: undefined, silencedAtRound: 880, silenced: 'do this', isInquiring: true })
    assert.deepEqual(orderLine(validator(1, silent)).slice(2), [
      'asks the others for its newest block',
      'silent since round 880, its key was used twice: do this',
    ])
  })
})
