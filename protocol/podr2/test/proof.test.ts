import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FR_ORDER, G1 } from '@cumulus/bls'
import { decodeProof, encodeProof, PROOF_BYTES, ProofBuilder } from '../src/index.ts'
import { BLOCK_BYTES, noise, TestMiner, worker } from './fixture.ts'

const miner = new TestMiner(1, 2)
const challenge = miner.challenge(1)
const proof = miner.prove(challenge)

describe('a proof', () => {
  it('has 128 bytes and comes back from them', () => {
    assert.equal(proof.length, 128)
    assert.equal(PROOF_BYTES, 128)
    assert.deepEqual(encodeProof(decodeProof(proof)), proof)
  })

  it('is the same in whatever order the blocks were read', () => {
    const builder = new ProofBuilder(challenge)
    for (let i = challenge.entries.length - 1; i >= 0; i--) {
      const { stripe, block } = challenge.entries[i]!
      builder.add(i, miner.block(stripe, block), miner.tag(stripe, block))
    }
    assert.deepEqual(builder.finish(worker.powers), proof)
  })

  it('does not decode at another length', () => {
    for (const bytes of [new Uint8Array(0), proof.subarray(1), proof.subarray(0, 127), Buffer.concat([proof, proof])]) {
      assert.throws(() => decodeProof(bytes), { code: 'MALFORMED_PROOF' })
    }
  })

  it('does not decode with a part that is not canonical, off the curve or outside the subgroup', () => {
    const outside = new Uint8Array(48)
    outside[0] = 0x80
    const bad: [number, Uint8Array][] = [
      [0, outside],
      [80, outside],
      [0, noise(48, 'no point').with(0, 0x9f)],
      [80, new Uint8Array(48)],
      [48, Uint8Array.fromHex(FR_ORDER.toString(16))],
    ]
    for (const [offset, part] of bad) {
      const bytes = proof.slice()
      bytes.set(part, offset)
      assert.throws(() => decodeProof(bytes), { code: 'MALFORMED_PROOF' })
    }
  })
})

describe('a proof builder', () => {
  const first = challenge.entries[0]!
  const block = miner.block(first.stripe, first.block)
  const tag = miner.tag(first.stripe, first.block)

  it('wants each block of the challenge once', () => {
    const builder = new ProofBuilder(challenge)
    builder.add(0, block, tag)
    assert.throws(() => builder.add(0, block, tag), { code: 'WRONG_ENTRY' })
    assert.throws(() => builder.add(challenge.entries.length, block, tag), { code: 'WRONG_ENTRY' })
    assert.throws(() => builder.finish(worker.powers), { code: 'WRONG_ENTRY' })
  })

  it('tells which tag is damaged, and takes the right one after that', () => {
    const builder = new ProofBuilder(challenge)
    assert.throws(() => builder.add(0, block, tag.with(0, 0)), { code: 'MALFORMED_TAG' })
    assert.throws(() => builder.add(0, block, tag.subarray(1)), { code: 'MALFORMED_TAG' })
    assert.throws(() => builder.add(0, new Uint8Array(BLOCK_BYTES + 1), tag), { code: 'BAD_BLOCK' })
    challenge.entries.forEach((entry, i) => {
      builder.add(i, miner.block(entry.stripe, entry.block), miner.tag(entry.stripe, entry.block))
    })
    assert.throws(() => builder.finish(worker.powers.first(3)), { code: 'WRONG_POWERS' })
    assert.deepEqual(builder.finish(worker.powers), proof)
  })

  it('of a single block of zeros works: its polynomial is zero, and so is ψ', () => {
    const one = { ...challenge, entries: [{ ...first, coefficient: 1n }] }
    const builder = new ProofBuilder(one)
    builder.add(0, new Uint8Array(5), tag)
    const { psi, y } = decodeProof(builder.finish(worker.powers))
    assert.ok(psi.equals(G1.zero))
    assert.equal(y, 0n)
  })
})
