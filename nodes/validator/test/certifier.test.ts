import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createCommittee, type DoubleVote, voteMessage } from '@cumulus/certificate'
import type { HashedHeader } from '@cumulus/ledger'
import { createLogger, createMetrics } from '@cumulus/service'
import { BlsKey } from '@cumulus/threshold'
import type { Address } from '@cumulus/types'
import { Certifier } from '../src/consensus/certifier.ts'
import type { ConsensusError } from '../src/consensus/consensus-error.ts'
import { createConsensusMetrics } from '../src/consensus/consensus-metrics.ts'

const keys = [0, 1, 2, 3].map((seat) => BlsKey.fromSeed(new Uint8Array(32).fill(seat + 1)))
const committee = createCommittee({
  chainId: 27_103,
  era: 0,
  members: keys.map(({ publicKey }, seat) => ({
    account: `0x${'0'.repeat(39)}${seat}` as Address,
    peerKey: new Uint8Array(32).fill(seat + 1),
    blsKey: publicKey,
    address: '/ip4/127.0.0.1/tcp/1',
  })),
})
const hashAt = (height: bigint, salt = 0) => new Uint8Array(32).fill(Number(height) + 16 * salt)
const voteOf = (seat: number, height: bigint, salt = 0) => {
  const headerHash = hashAt(height, salt)
  const signature = keys[seat]!.sign(voteMessage({ chainId: 27_103, era: 0, height, headerHash }))
  return { height, headerHash, signature }
}

function setUp(length: bigint) {
  const header = (number: bigint) => ({ number, hash: hashAt(number) }) as HashedHeader
  const chain = { head: header(length), header }
  const metrics = createMetrics({ process: false })
  const stored: bigint[] = []
  const doubleVotes: DoubleVote[] = []
  const failures: ConsensusError[] = []
  const certifier = new Certifier({
    committee,
    self: 0,
    key: keys[0]!,
    chain,
    certificates: { highest: undefined, put: (height) => void stored.push(height) },
    certified: () => {},
    diverged: (error) => void failures.push(error),
    doubleVote: (evidence) => void doubleVotes.push(evidence),
    metrics: createConsensusMetrics(metrics, () => assert.fail('nobody looks')),
    log: createLogger({ name: 'certifier', write: () => {} }),
    nowMs: () => 0,
  })
  const wrongVotes = async () => {
    const { values } = await metrics.getSingleMetric('cumulus_consensus_refused_total')!.get()
    return values.find(({ labels }) => labels['code'] === 'WRONG_VOTE')?.value ?? 0
  }
  return { certifier, stored, doubleVotes, failures, wrongVotes }
}

describe('a member that collects votes', () => {
  it('counts wrong ones, and certifies without them', async () => {
    const { certifier, stored, wrongVotes } = setUp(1n)
    certifier.observe(0, [voteOf(0, 1n)])
    certifier.observe(1, [{ ...voteOf(1, 1n), signature: voteOf(2, 1n).signature }])
    certifier.observe(2, [voteOf(2, 1n)])
    assert.deepEqual(stored, [])
    assert.equal(await wrongVotes(), 1)
    certifier.observe(3, [voteOf(3, 1n)])
    assert.deepEqual(stored, [1n])
  })

  it('reports a second vote that comes after the certificate, and takes late first ones for what they are', () => {
    const { certifier, stored, doubleVotes, failures } = setUp(2n)
    for (const seat of [0, 1, 2]) certifier.observe(seat, [voteOf(seat, 1n), voteOf(seat, 2n)])
    assert.deepEqual(stored, [1n, 2n])
    certifier.observe(3, [voteOf(3, 1n)])
    assert.deepEqual([doubleVotes.length, failures.length], [0, 0])
    certifier.observe(3, [voteOf(3, 1n, 1)])
    certifier.observe(1, [voteOf(1, 2n, 1)])
    assert.deepEqual(
      doubleVotes.map(({ member }) => member),
      [3, 1],
    )
    assert.deepEqual([stored, failures], [[1n, 2n], []])
  })

  it('stops where a quorum certifies another block than it executed', () => {
    const { certifier, stored, failures } = setUp(1n)
    for (const seat of [1, 2, 3]) certifier.observe(seat, [voteOf(seat, 1n, 1)])
    assert.deepEqual([stored, failures.map(({ code }) => code)], [[], ['DIVERGED']])
  })
})
