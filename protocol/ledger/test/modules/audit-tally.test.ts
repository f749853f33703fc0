import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bytesToHex } from '@cumulus/bytes'
import { attestationKind, tallyAudits, teeWorkers } from '../../src/modules/index.ts'
import { AuditNetwork, otherWorker, small } from './audit-network.ts'
import { account, bytes32, peerKeyOf } from './test-network.ts'

const members = Array.from({ length: 4 }, (_, i) => account(700 + i))
const hex = (bytes: number) => bytesToHex(new Uint8Array(bytes).fill(9))
const committee = {
  members: members.map((one) => {
    const keys = { peerKey: hex(32), blsKey: hex(48), blsProof: hex(96) }
    return { account: one, ...keys, address: '/ip4/127.0.0.1/tcp/9' }
  }),
  coin: { mode: 'public' as const },
}

/** Remembers all logs as they were, and how often each event was among them. */
class Counted extends AuditNetwork {
  readonly logs: Parameters<AuditNetwork['events']>[0][number][] = []
  readonly names: string[] = []
  readonly #isReady = true

  override events(...args: Parameters<AuditNetwork['events']>) {
    const events = super.events(...args)
    // The base registers miners before there are fields here.
    if (!(#isReady in this)) return events
    this.logs.push(...args[0])
    for (const { name, args: values } of events) this.names.push(`${name} ${values['ok'] ?? ''}`.trim())
    return events
  }

  count(name: string): number {
    return this.names.filter((one) => one === name).length
  }
}

describe('the tally of audits', () => {
  it('counts what the events say: proofs of each outcome, and votes on quotes', () => {
    const attestation = { simulated: true, measurements: [] }
    const network = new Counted({ params: small, minerCount: 4, genesis: { attestation, committee } })
    network.registerWorker()
    const stored = network.store(8)
    network.confirmAll(stored)
    for (let epoch = 1; epoch < 5; epoch++) {
      network.tick()
      network.tick()
      const [right, wrong] = network.members(stored.group)
      const proof = network.prove(network.asked(right!))
      network.submit(right!, proof)
      network.submit(wrong!, proof)
      network.toEpoch(epoch)
    }
    const quote = { attestation: attestationKind.sgx, quote: hex(1_000), collateral: hex(10), nonceBlock: 0n }
    network.block = { ...network.block, number: network.block.number + 1n }
    network.registerWorker(otherWorker, {
      ...quote,
      nonceBlock: network.block.number - 1n,
      peerKey: bytesToHex(peerKeyOf(otherWorker.account).publicKey),
    })
    const [quoteHash] = network.call(teeWorkers, 'pendingOf', [otherWorker.account])
    for (const [i, member] of members.entries()) {
      const vote = [otherWorker.account, quoteHash, i === 0, bytes32(1), 9n] as const
      network.transact(teeWorkers, 'vote', vote, { from: member })
    }
    const tally = tallyAudits(network.logs)
    assert.deepEqual(tally, {
      passed: network.count('ProofPassed'),
      failed: network.count('ProofFailed'),
      missed: network.count('ProofMissed'),
      void: network.count('ChallengeVoided'),
      quotesAccepted: network.count('AttestationVoted true'),
      quotesRefused: network.count('AttestationVoted false'),
    })
    assert.deepEqual([tally.quotesAccepted, tally.quotesRefused], [1, 3])
    assert.ok(tally.passed > 1 && tally.failed > 1 && tally.missed > 1, JSON.stringify(tally))
  })

  it('is nothing where others write logs that look alike', () => {
    const network = new Counted({ params: small, minerCount: 4 })
    network.registerWorker()
    network.confirmAll(network.store(2))
    network.tick()
    network.tick()
    network.tick(8)
    network.tick()
    const foreign = network.logs.map((log) => ({ ...log, address: account(1) }))
    assert.ok(Object.values(tallyAudits(network.logs)).some((count) => count > 0))
    assert.ok(Object.values(tallyAudits(foreign)).every((count) => count === 0))
    assert.ok(Object.values(tallyAudits([{ ...network.logs[0]!, topics: [] }])).every((count) => count === 0))
  })
})
