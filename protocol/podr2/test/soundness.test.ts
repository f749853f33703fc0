import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { frReduce, G1 } from '@cumulus/bls'
import {
  blockName,
  type Challenge,
  chal,
  challengeSeed,
  decodeProof,
  encodeProof,
  NAME_DST,
  type Proof,
  ProofBuilder,
  verify,
} from '../src/index.ts'
import { noise, otherWorker, params, place, TestMiner, worker } from './fixture.ts'

const miner = new TestMiner(1, 2)
const challenge = miner.challenge(1)
const honest = miner.prove(challenge)
const { key } = worker

const WRONG = { ok: false, code: 'WRONG' }
const judge = (proof: Uint8Array, of: Challenge = challenge, by = key) => verify({ proof, challenge: of, key: by })
const forged = (change: Partial<Proof>) => encodeProof({ ...decodeProof(honest), ...change })
const { sigma, y, psi } = decodeProof(honest)

/** Proves with some blocks or tags exchanged. */
function proveWith(
  pick: (stripe: number, block: number) => { data: Uint8Array; tag: Uint8Array },
  of: Challenge = challenge,
): Uint8Array {
  const builder = new ProofBuilder(of)
  of.entries.forEach(({ stripe, block }, i) => {
    const { data, tag } = pick(stripe, block)
    builder.add(i, data, tag)
  })
  return builder.finish(worker.powers)
}

describe('an honest proof', () => {
  it('is accepted', () => {
    for (let era = 0; era < 5; era++) {
      const own = miner.challenge(era)
      assert.deepEqual(judge(miner.prove(own), own), { ok: true })
    }
  })

  it('is accepted when the challenge takes all blocks, or one', () => {
    const range = { group: 1, seat: 2, firstStripe: 0, stripeCount: 5, blockCount: 3 } as never
    for (const challengedCount of [1, 15, 100]) {
      const own = chal(challengeSeed(1, noise(32, 'b'), noise(20, 'm')), [range], { ...params, challengedCount })!
      assert.equal(own.entries.length, Math.min(15, challengedCount))
      assert.deepEqual(judge(miner.prove(own), own), { ok: true })
    }
  })
})

describe('a proof is refused', () => {
  it('with a wrong y, σ or ψ', () => {
    for (const change of [
      { y: frReduce(y + 1n) },
      { y: 0n },
      { sigma: sigma.add(G1.generator) },
      { sigma: sigma.negate() },
      { sigma: G1.zero },
      { psi: psi.add(G1.generator) },
      { psi: psi.negate() },
      { psi: G1.zero },
      { sigma: psi, psi: sigma },
      { sigma: G1.zero, y: 0n, psi: G1.zero },
    ]) {
      assert.deepEqual(judge(forged(change)), WRONG)
    }
  })

  it('opened at another z', () => {
    const moved = { ...challenge, z: frReduce(challenge.z + 1n) }
    assert.deepEqual(judge(honest, moved), WRONG)
    assert.deepEqual(judge(miner.prove(moved)), WRONG)
    assert.deepEqual(judge(miner.prove(moved), moved), { ok: true })
  })

  it('with other coefficients, two exchanged, or a block more or less', () => {
    const [a, b, ...rest] = challenge.entries
    const exchanged = [{ ...a!, coefficient: b!.coefficient }, { ...b!, coefficient: a!.coefficient }, ...rest]
    const raised = [{ ...a!, coefficient: a!.coefficient ^ 1n }, b!, ...rest]
    for (const entries of [exchanged, raised, challenge.entries.slice(1)]) {
      assert.deepEqual(judge(honest, { ...challenge, entries }), WRONG)
    }
  })

  it('when one bit of one challenged block is flipped, whichever block and bit', () => {
    challenge.entries.forEach((lost, i) => {
      const proof = proveWith((stripe, block) => {
        const data = miner.block(stripe, block).slice()
        // Another byte and bit for each block; the last of a fragment has 100 bytes.
        if (stripe === lost.stripe && block === lost.block) data[(i * 13) % 100]! ^= 1 << (i & 7)
        return { data, tag: miner.tag(stripe, block) }
      })
      assert.deepEqual(judge(proof), WRONG)
    })
  })

  it('when zeros or other blocks of the miner stand in for a lost one, with their tags or without', () => {
    const lost = challenge.entries[0]!
    const other = challenge.entries[1]!
    const isLost = (stripe: number, block: number) => stripe === lost.stripe && block === lost.block
    const own = (stripe: number, block: number) => ({ data: miner.block(stripe, block), tag: miner.tag(stripe, block) })
    const standIns = [
      { data: new Uint8Array(0), tag: miner.tag(lost.stripe, lost.block) },
      { data: miner.block(other.stripe, other.block), tag: miner.tag(lost.stripe, lost.block) },
      { data: miner.block(other.stripe, other.block), tag: miner.tag(other.stripe, other.block) },
      { data: new Uint8Array(0), tag: G1.zero.toBytes() },
    ]
    for (const standIn of standIns) {
      assert.deepEqual(
        judge(proveWith((stripe, block) => (isLost(stripe, block) ? standIn : own(stripe, block)))),
        WRONG,
      )
    }
  })

  it('when two blocks are swapped, with their tags', () => {
    const [a, b] = challenge.entries as [Challenge['entries'][0], Challenge['entries'][0]]
    const proof = proveWith((stripe, block) => {
      const [s, k] =
        stripe === a.stripe && block === a.block
          ? [b.stripe, b.block]
          : stripe === b.stripe && block === b.block
            ? [a.stripe, a.block]
            : [stripe, block]
      return { data: miner.block(s, k), tag: miner.tag(s, k) }
    })
    assert.deepEqual(judge(proof), WRONG)
  })

  it('with data and tags of another seat, or of another group', () => {
    for (const stranger of [new TestMiner(1, 3), new TestMiner(2, 2)]) {
      const theirs = stranger.prove(challenge)
      assert.deepEqual(judge(theirs), WRONG)
      assert.deepEqual(judge(stranger.prove(stranger.challenge(1)), stranger.challenge(1)), { ok: true })
      // The data of one with the tags of the other.
      const mixed = proveWith((stripe, block) => ({
        data: miner.block(stripe, block),
        tag: stranger.tag(stripe, block),
      }))
      assert.deepEqual(judge(mixed), WRONG)
    }
  })

  it('tagged by another worker, or judged by the key of another', () => {
    const elsewhere = new TestMiner(1, 2, otherWorker)
    const theirs = elsewhere.prove(challenge)
    assert.deepEqual(judge(theirs), WRONG)
    assert.deepEqual(judge(theirs, challenge, otherWorker.key), { ok: true })
    assert.deepEqual(judge(honest, challenge, otherWorker.key), WRONG)
    assert.deepEqual(judge(honest, challenge, { v: key.v, w: otherWorker.key.w }), WRONG)
    assert.deepEqual(judge(honest, challenge, { v: otherWorker.key.v, w: key.w }), WRONG)
  })

  it('of another chain', () => {
    assert.deepEqual(judge(honest, { ...challenge, params: { ...params, chainId: params.chainId + 1 } }), WRONG)
  })

  it('for an earlier challenge, replayed', () => {
    assert.deepEqual(judge(honest, miner.challenge(2)), WRONG)
  })

  it('with tags forged from hashed names, or from tags of other names', () => {
    // What a forger can make without x: hashes of names and multiples of g1; and tags of his data under other names.
    const lost = challenge.entries[0]!
    const data = noise(480, 'made up')
    const name = G1.hash(blockName(params.chainId, lost), NAME_DST)
    const forgedTags = [
      name.toBytes(), // as if x were 1
      name.add(G1.generator).toBytes(),
      worker.tagger.tagBlock(data, { ...place(lost.group, lost.stripe, lost.seat), block: lost.block + 1 }),
      worker.tagger.tagBlock(data, { ...place(lost.group, lost.stripe + 1, lost.seat), block: lost.block }),
    ]
    for (const tag of forgedTags) {
      const proof = proveWith((stripe, block) =>
        stripe === lost.stripe && block === lost.block
          ? { data, tag }
          : { data: miner.block(stripe, block), tag: miner.tag(stripe, block) },
      )
      assert.deepEqual(judge(proof), WRONG)
    }
  })

  it('as malformed when it is too long, too short or not decodable', () => {
    for (const proof of [new Uint8Array(0), honest.subarray(1), Buffer.concat([honest, honest]), honest.with(0, 0)]) {
      assert.deepEqual(judge(proof), { ok: false, code: 'MALFORMED' })
    }
  })

  it('when nothing was asked: an empty challenge proves nothing', () => {
    assert.deepEqual(judge(forged({ sigma: G1.zero, y: 0n, psi: G1.zero }), { ...challenge, entries: [] }), {
      ok: false,
      code: 'MALFORMED',
    })
  })
})

describe('whoever learns the secret of a worker', () => {
  it('answers without data: why it must never leave the worker', () => {
    const { x } = worker.secret
    // ψ = 0, y = 0 and σ = x · Σ ν·H(name).
    const names = challenge.entries.reduce(
      (sum, entry) => sum.add(G1.hash(blockName(params.chainId, entry), NAME_DST).multiply(entry.coefficient)),
      G1.zero,
    )
    assert.deepEqual(judge(encodeProof({ sigma: names.multiply(x), y: 0n, psi: G1.zero })), { ok: true })
  })
})
