import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { G1 } from '@cumulus/bls'
import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { minimal } from '@cumulus/params'
import { chal, challengeSeed, decodeEntries, decodeProof, encodeEntries, encodeProof, TAG_BYTES } from '@cumulus/podr2'
import type { Address } from '@cumulus/types'
import { module } from '../../src/framework/index.ts'
import { audit, challengeState, miners, proofFailure, storage, teeWorkers } from '../../src/modules/index.ts'
import {
  AuditNetwork,
  blockOf,
  candidate,
  fragmentAt,
  otherWorker,
  placeOf,
  type Reader,
  small,
  tagsAt,
  worker,
} from './audit-network.ts'
import { account, owner, stranger } from './test-network.ts'

const { challengedCount } = minimal.audit

const SEATS = small.classes.standard.seatCount

/** Four miners with eight tagged stripes each, and a challenge open for everybody. */
function challenged({ stripes = 8 } = {}) {
  const network = new AuditNetwork({ params: small, minerCount: SEATS })
  network.registerWorker()
  const stored = network.store(stripes)
  network.confirmAll(stored)
  const events = [...network.tick(), ...network.tick()]
  assert.equal(events.filter(({ name }) => name === 'Challenged').length, SEATS)
  return { network, ...stored, events, one: network.members(stored.group)[0]! }
}

interface Announcement {
  readonly miner: Address
  readonly worker: Address
  readonly seed: `0x${string}`
  readonly entries: `0x${string}`
  readonly epoch: bigint
  readonly deadlineMs: bigint
}

describe('tags', () => {
  it('count once, for live stripes that are committed, in the seat of who confirms them', () => {
    const network = new AuditNetwork()
    network.registerWorker()
    const land = network.mint()
    const { group, stripes } = network.store(3, land)
    network.reserve(land, 2)
    const members = network.members(group)
    network.call(storage, 'release', [group, [stripes[1]!]], { from: owner })
    const { events } = network.transact(audit, 'confirmTags', [group, 0, 2n ** 256n - 1n, worker.account], {
      from: members[4]!,
    })
    const args = { group, seat: 4, miner: members[4]!, count: 2 }
    assert.deepEqual(events, [{ name: 'TagsConfirmed', args }])
    assert.equal(network.call(audit, 'taggedOf', [group, 4, 0]), 0b101n)
    assert.equal(network.call(audit, 'taggedOf', [group, 5, 0]), 0n)
    assert.equal(network.minerOf(members[4]!).taggedUnits, 2)
    assert.deepEqual(network.confirm(members[4]!, group, stripes).events, [])
    assert.equal(network.minerOf(members[4]!).taggedUnits, 2)
  })

  it('are refused from who has no seat, for another tagger, and beyond a group', () => {
    const network = new AuditNetwork()
    network.registerWorker()
    const { group, stripes } = network.store(1)
    const [member] = network.members(group) as [Address]
    assert.throws(() => network.confirm(stranger, group, stripes), /no seat in group 1/)
    assert.throws(() => network.confirm(member, 9, stripes, worker.account), /no seat in group 9/)
    assert.throws(() => network.confirm(member, group, stripes, otherWorker.account), /is not the tagger of group 1/)
    for (const first of [1, 255, 256, 2 ** 32 - 256]) {
      const confirm = () => network.call(audit, 'confirmTags', [group, first, 1n, worker.account], { from: member })
      assert.throws(confirm, /no multiple of 256/)
    }
  })

  it('of released stripes are proven by no seat any more', () => {
    const { network, group, one } = challenged()
    network.call(storage, 'release', [group, [0, 3, 7]], { from: owner })
    assert.equal(network.call(audit, 'taggedOf', [group, 0, 0]), 0b0111_0110n)
    for (const member of network.members(group)) assert.equal(network.minerOf(member).taggedUnits, 5)
    assert.equal(network.minerOf(one).serviceUnits, 5)
    assert.deepEqual(network.confirm(one, group, [0, 3, 7]).events, [], 'nor again')
  })

  it('that a miner reports as lost are not asked for, nor paid, until it confirms them again', () => {
    const { network, group, one } = challenged()
    const report = () => network.transact(audit, 'reportLoss', [group, 0, 0b1_0000_0110n], { from: one })
    assert.deepEqual(report().events, [
      { name: 'LossReported', args: { group, seat: 0, miner: one, firstStripe: 0, stripes: 0b110n } },
    ])
    assert.deepEqual(report().events, [])
    assert.equal(network.minerOf(one).taggedUnits, 6)
    network.answer(one)
    network.toEpoch(2)
    network.tick()
    network.tick()
    assert.ok(network.asked(one).entries.every(({ stripe }) => stripe !== 1 && stripe !== 2))
    network.confirm(one, group, [1, 2])
    assert.equal(network.minerOf(one).taggedUnits, 8)
    assert.throws(() => network.call(audit, 'reportLoss', [group, 0, 1n], { from: stranger }), /no seat/)
  })

  it('wait for a worker, and so do challenges', () => {
    const network = new AuditNetwork()
    const { group, stripes } = network.store(2)
    const [member] = network.members(group) as [Address]
    assert.equal(BigInt(network.taggerOf(group)), 0n)
    assert.equal(network.call(storage, 'untaggedGroupCount', []), 1n)
    assert.throws(() => network.confirm(member, group, stripes), /is not the tagger/)
    assert.ok(network.toEpoch(8).every(({ name }) => name !== 'Challenged'))
    assert.equal(network.minerOf(member).state, 1)
    network.registerWorker()
    assert.deepEqual(network.tick(), [
      { name: 'TaggerAssigned', args: { group, tagger: worker.account, attestation: 3 } },
    ])
    assert.equal(network.call(storage, 'groupOf', [group]).taggerAttestation, 3)
    assert.equal(network.call(teeWorkers, 'workerOf', [worker.account]).groups, 1)
    assert.equal(network.call(storage, 'untaggedGroupCount', []), 0n)
    network.confirm(member, group, stripes)
    assert.ok(network.toEpoch(10).some(({ name }) => name === 'Challenged'))
  })

  it('are credited to the candidate of the worker once per stripe, when most seats have them', () => {
    const standard = { ...minimal.classes.standard, fragmentBytes: 8 * 2 ** 20 }
    const network = new AuditNetwork({ params: { ...minimal, classes: { ...minimal.classes, standard } } })
    network.registerWorker()
    const { group, stripes } = network.store(2)
    const credits = () => network.call(teeWorkers, 'creditOf', [account(600), 0n])
    network.members(group).forEach((member, i) => {
      assert.equal(credits(), i <= 6 ? 0n : 2n * 360n)
      network.confirm(member, group, stripes)
    })
    network.call(audit, 'reportLoss', [group, 0, 3n], { from: network.members(group)[0]! })
    network.confirm(network.members(group)[0]!, group, stripes)
    assert.equal(credits(), 2n * 360n)
  })
})

describe('a miner that was put out and comes back', () => {
  it('is a stranger in its old groups: it gets no stripes there, and nobody takes its word for tags', () => {
    const network = new AuditNetwork({ params: small, minerCount: SEATS })
    network.registerWorker()
    const territory = network.mint()
    const { group, stripes } = network.store(2, territory)
    network.confirmAll({ group, stripes })
    const one = network.members(group)[0]!
    network.endHooks([
      module({ name: 'Probe', address: account(999), storage: {} }).onBlock((c) => {
        c.ask(miners).putOut(one)
        c.ask(storage).putOut(one)
      }),
    ])
    network.tick()
    assert.deepEqual(network.call(storage, 'vacantSeats', [0n, 10n]), [[group], [0]])
    assert.equal(network.call(storage, 'groupOf', [group]).open, false)
    network.call(storage, 'release', [group, stripes], { from: owner })
    network.call(miners, 'exit', [], { from: one })
    network.registerMiner(one, { units: 100 })
    assert.throws(() => network.confirm(one, group, stripes), /seat 0 of group \d+ is vacant/)
    // It is drawn for a new group, where it is challenged for what it is paid for.
    const next = network.store(2, territory)
    assert.notEqual(next.group, group)
    assert.ok(network.members(next.group).includes(one))
    network.confirmAll(next)
    assert.equal(network.minerOf(one).taggedUnits, 2)
    const challenged = [...network.toEpoch(2), ...network.tick()].filter(({ name }) => name === 'Challenged')
    assert.ok(challenged.some(({ args }) => args['miner'] === one))
  })
})

describe('a challenge', () => {
  it('is drawn by the beacon from the tagged stripes of a miner, and only its digest is kept', () => {
    const { network, group, events } = challenged()
    for (const { name, args } of events) {
      if (name !== 'Challenged') continue
      const { miner, worker: by, seed, entries, epoch, deadlineMs } = args as unknown as Announcement
      const kept = network.challengeOf(miner)
      assert.equal(kept.entriesDigest, bytesToHex(keccak256(hexToBytes(entries))))
      assert.deepEqual(
        { by, seed, epoch, deadlineMs, state: challengeState.open, count: challengedCount },
        {
          by: kept.worker,
          seed: kept.seed,
          epoch: kept.epoch,
          deadlineMs: kept.deadlineMs,
          state: kept.state,
          count: kept.entryCount,
        },
      )
      // With nothing released, the n-th tagged stripe is stripe n: everybody can draw the same.
      const seat = network.members(group).indexOf(miner)
      const range = { ...placeOf(group, 0, seat), firstStripe: 0, stripeCount: 8, blockCount: 3 } as never
      assert.equal(
        entries,
        bytesToHex(
          encodeEntries(
            chal(hexToBytes(seed), [range], {
              chainId: minimal.chainId,
              ...minimal.audit,
            })!.entries,
          ),
        ),
      )
    }
  })

  it('has the seed of its chain, beacon and miner', () => {
    const network = new AuditNetwork({ minerCount: 12 })
    network.registerWorker()
    network.confirmAll(network.store(1))
    const { prevRandao } = network.block
    const { args } = network.tick().find(({ name }) => name === 'Challenged')!
    const miner = args['miner'] as Address
    assert.equal(args['seed'], bytesToHex(challengeSeed(minimal.chainId, prevRandao, hexToBytes(miner))))
  })

  it('skips over holes in the bitmap', () => {
    const { network, group } = challenged({ stripes: 16 })
    for (const miner of network.members(group)) network.answer(miner)
    network.call(storage, 'release', [group, [0, 1, 2, 5, 9, 14]], { from: owner })
    network.toEpoch(1)
    network.tick()
    network.tick()
    const live = new Set([3, 4, 6, 7, 8, 10, 11, 12, 13, 15])
    const asked = new Set<number>()
    for (const miner of network.members(group)) {
      const { entries } = network.asked(miner)
      assert.equal(entries.length, challengedCount)
      assert.equal(new Set(entries.map(({ stripe, block }) => `${stripe}/${block}`)).size, challengedCount)
      for (const { stripe } of entries) asked.add(stripe)
    }
    assert.deepEqual(
      [...asked].sort((a, b) => a - b),
      [...live].sort((a, b) => a - b),
      'each of them is asked for by somebody',
    )
  })

  it('asks for all blocks of a miner that has fewer than c', () => {
    const { network, one } = challenged({ stripes: 2 })
    assert.equal(network.asked(one).entries.length, 6)
    network.answer(one)
    network.tick()
    assert.equal(network.challengeOf(one).state, challengeState.passed)
  })

  it('comes to every miner once an epoch, not always in the same order', () => {
    const { network, group } = challenged()
    for (const miner of network.members(group)) network.answer(miner)
    network.toEpoch(1)
    const orders: string[] = []
    for (let epoch = 1; epoch <= 4; epoch++) {
      const order: string[] = []
      while (network.block.epoch === epoch) {
        for (const { name, args } of network.tick()) {
          if (name !== 'Challenged') continue
          order.push(args['miner'] as string)
          network.answer(args['miner'] as Address)
        }
      }
      assert.deepEqual([...order].sort(), [...network.members(group)].sort())
      orders.push(order.join())
    }
    assert.ok(new Set(orders).size > 1)
  })

  it('is about one worker, drawn by how many stripes of the miner each has tagged', () => {
    const network = new AuditNetwork()
    network.registerWorker(worker)
    const land = network.mint({ stripes: 1000 })
    // Two groups, one of each worker: the second gets three times as many stripes.
    const first = network.store(8, land)
    network.call(teeWorkers, 'exit', [], { from: worker.account })
    network.registerWorker(otherWorker)
    network.store(16, land)
    network.store(8, land)
    const second = network.store(16, land)
    assert.equal(network.taggerOf(first.group), worker.account)
    assert.notEqual(first.group, second.group)
    assert.equal(network.taggerOf(second.group), otherWorker.account)
    network.confirmAll(first)
    network.confirmAll(second)
    let forSecond = 0
    let total = 0
    // The exiting worker keeps its group for an era.
    while (network.block.epoch < network.params.epochsPerEra) {
      for (const { name, args } of network.tick()) {
        if (name !== 'Challenged') continue
        const group = args['worker'] === worker.account ? first.group : second.group
        const entries = decodeEntries(hexToBytes(args['entries'] as `0x${string}`))
        assert.ok(entries.every((entry) => entry.group === group))
        total++
        if (group === second.group) forSecond++
      }
    }
    const share = forSecond / total
    const expected = 16 / 24
    assert.ok(
      total >= 36 && Math.abs(share - expected) < 4 * Math.sqrt((expected * (1 - expected)) / total),
      `${share}`,
    )
  })

  it('is not missed while the chain stands still', () => {
    const { network, one } = challenged()
    const { issuedAtBlock, deadlineMs } = network.challengeOf(one)
    network.block = { ...network.block, number: issuedAtBlock + 1n, timestamp: deadlineMs / 1000n + 3_600n }
    network.tick()
    assert.equal(network.challengeOf(one).state, challengeState.open)
    network.block = { ...network.block, number: issuedAtBlock + 1n }
    network.answer(one)
    network.tick()
    assert.equal(network.record(one).passed, 1)
    assert.equal(network.record(one).missed, 0)
  })

  it('of a miner that leaves when its data are released is void, not missed', () => {
    const { network, group, stripes, one } = challenged()
    network.call(storage, 'release', [group, stripes], { from: owner })
    network.call(miners, 'exit', [], { from: one })
    assert.equal(network.minerOf(one).state, 0)
    const events = network.toEpoch(2).filter(({ args }) => args['miner'] === one)
    assert.deepEqual(
      events.map(({ name }) => name),
      ['ChallengeVoided'],
    )
    assert.equal(network.record(one).missed, 0)
  })
})

describe('a proof', () => {
  it('brings the candidate of the worker 12 points for each GiB that it stands for', () => {
    const params = { ...small, unitBytes: 8 * 2 ** 20, stripesPerGroup: 256, reservationStripesMax: 256 }
    for (const [count, points] of [
      [10, 0n],
      [11, 1n],
      [128, 12n],
    ] as const) {
      const network = new AuditNetwork({ params, minerCount: SEATS, units: 200 })
      network.registerWorker()
      const stored = network.store(count, network.mint({ stripes: count }))
      network.confirmAll(stored)
      network.tick()
      network.tick()
      const credit = () => network.call(teeWorkers, 'creditOf', [candidate, 0n])
      const before = credit()
      network.answer(network.members(stored.group)[0]!)
      const events = network.tick()
      assert.equal(events.filter(({ name }) => name === 'ProofPassed').length, 1)
      assert.equal(credit() - before, points, `${count} units`)
    }
  })

  it('that is right passes, and the next challenge is another', () => {
    const { network, one } = challenged()
    const { seed } = network.challengeOf(one)
    assert.deepEqual(network.answer(one).events, [])
    assert.equal(network.challengeOf(one).state, challengeState.answered)
    const [event] = network.tick().filter(({ args }) => args['miner'] === one)
    assert.deepEqual(event, { name: 'ProofPassed', args: { miner: one, epoch: 0n } })
    assert.deepEqual(network.record(one), {
      failedInRow: 0,
      missedInRow: 0,
      passed: 1,
      failed: 0,
      missed: 0,
      lastPassedEpoch: 0n,
    })
    network.toEpoch(2)
    assert.notEqual(network.challengeOf(one).seed, seed)
  })

  it('leaves nothing of itself in the state', () => {
    const { network, one, group } = challenged()
    const before = network.world.slotsOf(audit.address)
    for (const miner of network.members(group)) network.answer(miner)
    const during = [...network.world.slotsOf(audit.address).keys()].filter((slot) => !before.has(slot))
    network.tick()
    const after = network.world.slotsOf(audit.address)
    assert.ok(during.length > SEATS * 9)
    // The count of all proofs that ever came.
    assert.equal(during.filter((slot) => after.has(slot)).length, 1)
    assert.equal(network.challengeOf(one).state, challengeState.passed)
  })

  it('is refused from who is not challenged, twice, late, for other entries, or as no proof at all', () => {
    const { network, one, group } = challenged()
    const proof = network.prove(network.asked(one))
    const before = network.world.snapshot()
    const { entries, seed } = network.announced.get(one)!
    const attempt =
      (bytes: Uint8Array, options: object = {}) =>
      () =>
        network.submit(one, bytes, options)
    assert.throws(() => network.submit(stranger, proof, { entries, seed }), /NotChallenged\(0\)/)
    const [, two] = network.members(group) as [Address, Address]
    assert.throws(attempt(proof, { entries: network.announced.get(two)!.entries }), /WrongEntries/)
    assert.throws(attempt(proof, { seed: network.announced.get(two)!.seed }), new RegExp(`OtherChallenge\\(${seed}\\)`))
    assert.throws(attempt(proof, { entries: '0x' }), /WrongEntries/)
    // An honest answer to the challenge before, which asked for the same blocks, is no wrong one to this.
    assert.throws(attempt(proof, { seed: `0x${'11'.repeat(32)}` }), /OtherChallenge/)
    assert.throws(attempt(proof, { entries: entries.slice(0, -24) }), /WrongEntries/)
    assert.throws(attempt(new Uint8Array()), /BadProof\(0\)/)
    assert.throws(attempt(proof.subarray(1)), /BadProof\(127\)/)
    assert.throws(attempt(new Uint8Array(100_000)), /BadProof\(100000\)/)
    assert.throws(attempt(new Uint8Array(128)), /BadProof\(128\)/)
    assert.throws(attempt(new Uint8Array(128).fill(0xff)), /BadProof\(128\)/)
    // A point of the curve outside the subgroup, and one that is not on the curve.
    assert.throws(attempt(withSigma(proof, new Uint8Array(48).with(0, 0x80))), /BadProof\(128\)/)
    assert.throws(attempt(withSigma(proof, new Uint8Array(48).with(0, 0x80).with(47, 5))), /BadProof\(128\)/)
    // y beyond the order of the group
    assert.throws(attempt(proof.slice().fill(0xff, 48, 80)), /BadProof\(128\)/)
    assert.throws(attempt(proof, { dropped: 1n }), /NotReleased\(0\)/)
    assert.throws(attempt(proof, { dropped: 1n << 8n }), /the challenge has 8 entries/)
    assert.throws(attempt(proof, { dropped: 2n ** 256n - 1n }), /the challenge has 8 entries/)
    assert.equal(network.world.snapshot(), before)
    network.submit(one, proof)
    assert.throws(attempt(proof), /NotChallenged\(5\)/)
    network.tick()
    assert.throws(attempt(proof), /NotChallenged\(2\)/)
    const { deadlineMs } = network.challengeOf(two)
    network.block = { ...network.block, number: 20n, timestamp: deadlineMs / 1000n }
    const late = network.prove(network.asked(two))
    network.block = { ...network.block, timestamp: network.block.timestamp + 1n }
    assert.throws(() => network.submit(two, late), new RegExp(`TooLate\\(${deadlineMs}\\)`))
    network.block = { ...network.block, timestamp: network.block.timestamp - 1n }
    network.submit(two, late)
  })

  it('is verified even if its turn comes after the deadline', () => {
    const network = new AuditNetwork({
      params: { ...small, audit: { ...small.audit, proofsPerBlockMax: 1 } },
      minerCount: SEATS,
    })
    network.registerWorker()
    const stored = network.store(2)
    network.confirmAll(stored)
    network.tick()
    network.tick()
    const asked = network.members(stored.group)
    for (const miner of asked) network.answer(miner)
    const passed: number[] = []
    for (let i = 0; i < 6; i++) passed.push(network.tick().filter(({ name }) => name === 'ProofPassed').length)
    assert.deepEqual(passed, [1, 1, 1, 1, 0, 0])
    for (const miner of asked) assert.equal(network.record(miner).missed, 0)
  })

  const failures: [string, (network: AuditNetwork, one: Address, two: Address, group: number) => Uint8Array][] = [
    ['with another y', (n, one) => changed(n.prove(n.asked(one)), ({ y }) => ({ y: y + 1n }))],
    ['with another σ', (n, one) => changed(n.prove(n.asked(one)), ({ sigma }) => ({ sigma: sigma.add(G1.generator) }))],
    ['with another ψ', (n, one) => changed(n.prove(n.asked(one)), ({ psi }) => ({ psi: psi.add(G1.generator) }))],
    ['that is all zeros', () => encodeProof({ sigma: G1.zero, y: 0n, psi: G1.zero })],
    ['of another miner', (n, _one, two) => n.prove(n.asked(two))],
    ['of one flipped bit in one block', (n, one) => n.prove(n.asked(one), { read: flipped })],
    [
      "of the neighbour's seat",
      (n, one) => n.prove(n.asked(one), { read: elsewhere(({ seat }) => ({ seat: (seat + 1) % SEATS })) }),
    ],
    [
      'of the next stripe',
      (n, one) => n.prove(n.asked(one), { read: elsewhere(({ stripe }) => ({ stripe: (stripe + 1) % 8 })) }),
    ],
    ['of another group', (n, one) => n.prove(n.asked(one), { read: elsewhere(({ group }) => ({ group: group + 1 })) })],
    ['under the key of another worker', (n, one) => n.prove(n.asked(one), { by: otherWorker })],
    ['with a block left out', (n, one) => n.prove({ ...n.asked(one), entries: n.asked(one).entries.slice(1) })],
    [
      'for coefficients that are all one',
      (n, one) => {
        const asked = n.asked(one)
        return n.prove({ ...asked, entries: asked.entries.map((entry) => ({ ...entry, coefficient: 1n })) })
      },
    ],
  ]
  for (const [what, make] of failures) {
    it(`${what} fails, and the honest ones in the same block pass`, () => {
      const { network, group } = challenged()
      const [one, two, ...others] = network.members(group) as [Address, Address, ...Address[]]
      network.submit(one, make(network, one, two, group))
      for (const miner of others) network.answer(miner)
      const events = network.tick()
      assert.deepEqual(
        events.filter(({ args }) => args['miner'] === one),
        [{ name: 'ProofFailed', args: { miner: one, epoch: 0n, code: proofFailure.wrong } }],
      )
      assert.equal(events.filter(({ name }) => name === 'ProofPassed').length, others.length)
      assert.deepEqual(network.record(one), {
        failedInRow: 1,
        missedInRow: 0,
        passed: 0,
        failed: 1,
        missed: 0,
        lastPassedEpoch: 0n,
      })
    })
  }

  it('may leave out stripes released since, and no others', () => {
    const { network, group, one } = challenged()
    const asked = network.asked(one)
    const gone = asked.entries[2]!.stripe
    network.call(storage, 'release', [group, [gone]], { from: owner })
    const dropped = asked.entries.reduce(
      (bits, { stripe }, i) => (stripe === gone ? bits | (1n << BigInt(i)) : bits),
      0n,
    )
    const rest = { ...asked, entries: asked.entries.filter(({ stripe }) => stripe !== gone) }
    const live = asked.entries.findIndex(({ stripe }) => stripe !== gone)
    const proof = network.prove(rest)
    assert.throws(
      () => network.submit(one, proof, { dropped: dropped | (1n << BigInt(live)) }),
      new RegExp(`NotReleased\\(${live}\\)`),
    )
    network.submit(one, proof, { dropped })
    network.tick()
    assert.equal(network.challengeOf(one).state, challengeState.passed)
  })

  it('is not needed when everything asked for has been released', () => {
    const { network, group, stripes, one } = challenged()
    const proof = network.prove(network.asked(one))
    network.call(storage, 'release', [group, stripes], { from: owner })
    assert.throws(() => network.submit(one, proof, { dropped: 255n }), /nothing left to prove/)
    const { events } = network.submit(one, new Uint8Array(), { dropped: 255n })
    assert.deepEqual(events, [{ name: 'ChallengeVoided', args: { miner: one, epoch: 0n } }])
    network.toEpoch(2)
    assert.equal(network.challengeOf(one).state, challengeState.void)
    assert.equal(network.record(one).missed, 0)
    assert.equal(network.record(one).passed, 0)
  })

  it('may leave out groups that another worker has taken meanwhile', () => {
    const { network, group, one } = challenged()
    network.registerWorker(otherWorker)
    network.call(teeWorkers, 'exit', [], { from: worker.account })
    // As if its time were over.
    const { epoch } = network.block
    network.block = { ...network.block, epoch: epoch + network.params.epochsPerEra }
    const { args } = network.events(network.endBlock(), [storage]).at(-1)!
    network.block = { ...network.block, epoch }
    assert.deepEqual(args, { group, tagger: otherWorker.account, attestation: 3 })
    network.submit(one, new Uint8Array(), { dropped: 255n })
    assert.equal(network.challengeOf(one).state, challengeState.void)
  })
})

function withSigma(proof: Uint8Array, sigma: Uint8Array): Uint8Array {
  const bytes = proof.slice()
  bytes.set(sigma)
  return bytes
}

function changed(proof: Uint8Array, change: (parts: ReturnType<typeof decodeProof>) => object): Uint8Array {
  const parts = decodeProof(proof)
  return encodeProof({ ...parts, ...change(parts) })
}

/** One bit of the first block asked for. */
const flipped: Reader = (entry, by, index) => {
  const place = placeOf(entry.group, entry.stripe, entry.seat)
  const data = blockOf(fragmentAt(place), entry.block).slice()
  if (index === 0) data[17]! ^= 4
  return { data, tag: tagsAt(place, by).subarray(entry.block * TAG_BYTES, (entry.block + 1) * TAG_BYTES) }
}

function elsewhere(change: (place: { group: number; stripe: number; seat: number }) => object): Reader {
  return (entry, by) => {
    const { group, stripe, seat } = { ...entry, ...change(entry) } as { group: number; stripe: number; seat: number }
    const place = placeOf(group, stripe, seat)
    const tag = tagsAt(place, by).subarray(entry.block * TAG_BYTES, (entry.block + 1) * TAG_BYTES)
    return { data: blockOf(fragmentAt(place), entry.block), tag }
  }
}
