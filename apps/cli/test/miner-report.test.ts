import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { minerCause, minerState } from '@cumulus/ledger/modules'
import { auditLine } from '../src/commands/status.ts'
import { adviceFor, type MinerFacts } from '../src/miner-report.ts'

const TOKEN = 10n ** 18n

const well: MinerFacts = {
  name: 'miner-07',
  state: minerState.active,
  cause: minerCause.none,
  stake: 10n * TOKEN,
  collateralLimit: 10n * TOKEN,
  debt: 0n,
  balance: TOKEN,
  service: 5,
  tagged: 5,
  failedInRow: 0,
  missedInRow: 0,
  claimable: TOKEN,
  workers: 1,
  missesToDeath: 5,
}

/** What is said of a miner that is well but for this. */
function said(change: Partial<MinerFacts>): { cause: string; next: string } {
  const advice = adviceFor({ ...well, ...change })
  assert.equal(advice.length, 1, JSON.stringify(advice))
  return advice[0]!
}

describe('the advice for a miner', () => {
  it('is none where all is well, or only waits for tags that are being made', () => {
    assert.deepEqual(adviceFor(well), [])
    assert.deepEqual(adviceFor({ ...well, tagged: 3 }), [])
    assert.deepEqual(adviceFor({ ...well, stake: 11n * TOKEN, service: 0, tagged: 0, workers: 0 }), [])
  })

  it('that is not registered is to start it', () => {
    const { cause, next } = said({ state: minerState.none, balance: 0n })
    assert.match(cause, /not registered/)
    assert.match(next, /Start the miner/)
  })

  it('that was put out tells why and what becomes of its stake', () => {
    const { cause, next } = said({ state: minerState.dead, cause: minerCause.putOut, missedInRow: 5 })
    assert.match(cause, /put out: it missed 5 audits in a row/)
    assert.match(next, /stake/)
  })

  it('that leaves is to keep it running', () => {
    assert.match(said({ state: minerState.exiting, cause: minerCause.ownWish }).next, /Keep it running/)
  })

  it('whose stake is below its limit names what to pay, and how', () => {
    const frozen = { state: minerState.frozen, cause: minerCause.stakeBelowLimit, stake: (19n * TOKEN) / 2n }
    const { cause, next } = said(frozen)
    assert.match(cause, /stake is 0\.5 below its limit: the miner is frozen/)
    assert.match(next, /cumulus miner stake --name miner-07 --add 0\.500001$/)
  })

  it('with a debt asks for debt and missing stake together', () => {
    const { cause, next } = said({ state: minerState.frozen, cause: minerCause.debt, stake: 0n, debt: 2n * TOKEN })
    assert.match(cause, /debt of 2:/)
    assert.match(next, /--add 12\.000001$/)
  })

  it('that missed audits says what the next ones cost, and where to look', () => {
    for (const state of [minerState.active, minerState.offline]) {
      const { cause, next } = said({ state, cause: minerCause.none, missedInRow: 3 })
      assert.match(cause, /3 audits in a row were not answered.* after 5 it is put out/)
      assert.match(next, /cumulus logs miner-07/)
    }
  })

  it('whose proofs were wrong points at its disk', () => {
    const { cause, next } = said({ failedInRow: 2 })
    assert.match(cause, /2 proofs in a row were wrong/)
    assert.match(next, /disk/)
  })

  it('without a TEE worker says that nothing is to be done, and nobody punished', () => {
    const { cause, next } = said({ tagged: 2, workers: 0 })
    assert.match(cause, /3 stored fragments earn nothing: no TEE worker/)
    assert.match(next, /Nothing to do.*Nobody is punished/)
  })

  it('with an empty account is to send tokens', () => {
    const { cause, next } = said({ balance: 5n * 10n ** 15n })
    assert.match(cause, /0\.005 tokens left/)
    assert.match(next, /Send it some/)
  })

  it('names everything that is wrong, the worst first', () => {
    const changes = { missedInRow: 2, failedInRow: 1, balance: 0n, tagged: 0, workers: 0 }
    const frozen = { state: minerState.frozen, cause: minerCause.stakeBelowLimit, stake: 9n * TOKEN }
    const causes = adviceFor({ ...well, ...changes, ...frozen }).map(({ cause }) => cause)
    const order = [/frozen/, /not answered/, /wrong/, /earn nothing/, /left to pay/]
    assert.equal(causes.length, order.length)
    for (const [i, pattern] of order.entries()) assert.match(causes[i]!, pattern)
  })
})

describe('what status says of the proofs of a miner', () => {
  const audit = { tagBacklog: 0, lastPassedEpoch: '12' }
  const plain = (parts: readonly string[]) => parts.map(stripVTControlCharacters)

  it('is nothing of a process that says nothing', () => {
    assert.deepEqual(auditLine(undefined), [])
  })

  it('is when it last proved something', () => {
    assert.deepEqual(auditLine(audit), ['last proof in epoch 12'])
    assert.deepEqual(auditLine({ ...audit, lastPassedEpoch: null }), ['no proof yet'])
    assert.deepEqual(auditLine({ ...audit, failedInRow: 0, missedInRow: 0 }), ['last proof in epoch 12'])
  })

  it('is what waits, what went wrong, and all that it earned, paid or not', () => {
    const rewards = { claimable: `${TOKEN}`, locked: `${TOKEN / 2n}`, paid: `${3n * TOKEN}` }
    assert.deepEqual(plain(auditLine({ ...audit, tagBacklog: 4, failedInRow: 1, missedInRow: 2, rewards })), [
      'last proof in epoch 12',
      '4 fragments without tags',
      '1 wrong proofs in a row',
      '2 missed audits in a row',
      '4.5 earned',
    ])
  })
})
