import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { frReduce, G1 } from '@cumulus/bls'
import fc from 'fast-check'
import { decodeProof, encodeProof, type ProofClaim, verify, verifyBatch } from '../src/index.ts'
import { otherWorker, TestMiner } from './fixture.ts'

/** Miners of two workers, in turns. */
const miners = Array.from({ length: 8 }, (_, i) => new TestMiner(1, i, i % 3 === 0 ? otherWorker : undefined))
const claims: ProofClaim[] = miners.map((miner) => {
  const challenge = miner.challenge(1)
  return { proof: miner.prove(challenge), challenge, key: miner.worker.key }
})

const faults: Record<string, (claim: ProofClaim) => Uint8Array> = {
  'wrong y': ({ proof }) => {
    const parts = decodeProof(proof)
    return encodeProof({ ...parts, y: frReduce(parts.y + 1n) })
  },
  'wrong σ': ({ proof }) => {
    const parts = decodeProof(proof)
    return encodeProof({ ...parts, sigma: parts.sigma.add(G1.generator) })
  },
  'wrong ψ': ({ proof }) => {
    const parts = decodeProof(proof)
    return encodeProof({ ...parts, psi: parts.psi.add(G1.generator) })
  },
  malformed: ({ proof }) => proof.subarray(0, 127),
}

describe('a batch of proofs', () => {
  it('is judged as each of its proofs alone, whoever is wrong in it and how', () => {
    const anyFaults = fc.array(fc.option(fc.constantFrom(...Object.keys(faults))), {
      minLength: 0,
      maxLength: claims.length,
    })
    fc.assert(
      fc.property(anyFaults, (chosen) => {
        const batch = chosen.map((fault, i) =>
          fault === null ? claims[i]! : { ...claims[i]!, proof: faults[fault]!(claims[i]!) },
        )
        const verdicts = verifyBatch(batch)
        assert.deepEqual(verdicts, batch.map(verify))
        assert.deepEqual(
          verdicts.map(({ ok }) => ok),
          chosen.map((fault) => fault === null),
        )
      }),
      { numRuns: 12 },
    )
  })

  it('of none has no verdicts', () => {
    assert.deepEqual(verifyBatch([]), [])
  })

  it('is refused when errors cancel: every claim has a weight of its own', () => {
    // Two colluding miners add and take away the same: without weights the product of both equations would hold.
    for (const part of ['sigma', 'psi'] as const) {
      const [first, second] = [claims[1]!, claims[2]!]
      const shift = (claim: ProofClaim, by: G1) => {
        const proof = decodeProof(claim.proof)
        return { ...claim, proof: encodeProof({ ...proof, [part]: proof[part].add(by) }) }
      }
      const batch = [shift(first, G1.generator), shift(second, G1.generator.negate()), claims[4]!]
      assert.deepEqual(
        verifyBatch(batch).map(({ ok }) => ok),
        [false, false, true],
      )
    }
    const raise = (claim: ProofClaim, by: bigint) => {
      const proof = decodeProof(claim.proof)
      return { ...claim, proof: encodeProof({ ...proof, y: frReduce(proof.y + by) }) }
    }
    assert.deepEqual(
      verifyBatch([raise(claims[1]!, 1n), raise(claims[2]!, -1n)]).map(({ ok }) => ok),
      [false, false],
    )
  })

  it('is refused when two miners exchange their proofs', () => {
    const exchanged = [
      { ...claims[1]!, proof: claims[2]!.proof },
      { ...claims[2]!, proof: claims[1]!.proof },
    ]
    assert.deepEqual(
      verifyBatch(exchanged).map(({ ok }) => ok),
      [false, false],
    )
  })

  it('keeps taggers apart: keys exchanged within it are wrong for both', () => {
    const [own, other] = [claims[1]!, claims[0]!]
    const exchanged = [
      { ...own, key: other.key },
      { ...other, key: own.key },
    ]
    assert.deepEqual(
      verifyBatch(exchanged).map(({ ok }) => ok),
      [false, false],
    )
  })
})
