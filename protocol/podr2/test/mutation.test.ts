import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { describe, it } from 'node:test'
import { frReduce, G1 } from '@cumulus/bls'
import { chal, challengeSeed, decodeProof, encodeProof, type ProofClaim } from '../src/index.ts'
import { noise, otherWorker, params, TestMiner, worker } from './fixture.ts'

// Controls: verification with one part left out, in memory, must misjudge at least one of the claims below. So every part of
// the check is needed, and the attacks here are able to fail.

type Verification = typeof import('../src/verify.ts')

const miners = [new TestMiner(1, 2), new TestMiner(1, 3), new TestMiner(2, 2, otherWorker)]
const honest: ProofClaim[] = miners.map((miner) => {
  const challenge = miner.challenge(1)
  return { proof: miner.prove(challenge), challenge, key: miner.worker.key }
})
const [first, second, third] = honest as [ProofClaim, ProofClaim, ProofClaim]
const proofOf = (claim: ProofClaim) => decodeProof(claim.proof)
const changed = (claim: ProofClaim, change: object): ProofClaim => ({
  ...claim,
  proof: encodeProof({ ...proofOf(claim), ...change }),
})

/** A point of order 3, as σ alone cannot show it: pairings do not see it. */
const lowOrder = G1.trustedFromBytes(new Uint8Array(48).with(0, 0x80))
const withCoefficients = (claim: ProofClaim, of: (coefficient: bigint) => bigint): ProofClaim => ({
  ...claim,
  challenge: {
    ...claim.challenge,
    entries: claim.challenge.entries.map((entry) => ({ ...entry, coefficient: of(entry.coefficient) })),
  },
})
/** An answer to coefficients of 1 only, claimed for the true challenge. */
const plainSum = (() => {
  const miner = miners[0]!
  const flat = withCoefficients(first, () => 1n)
  return { ...first, proof: miner.prove(flat.challenge) }
})()
const oneBlock = chal(
  challengeSeed(1, noise(32, 'b'), noise(20, 'm')),
  [{ group: 1, seat: 2, firstStripe: 0, stripeCount: 1, blockCount: 3 } as never],
  { ...params, challengedCount: 1 },
)!

/** Batches, and which claims of each are true. */
const batches: [string, ProofClaim[], boolean[]][] = [
  ['honest', honest, [true, true, true]],
  ['one alone', [first], [true]],
  ['few blocks', [{ proof: miners[0]!.prove(oneBlock), challenge: oneBlock, key: worker.key }], [true]],
  ['nothing', [changed(first, { sigma: G1.zero, y: 0n, psi: G1.zero })], [false]],
  ['wrong y', [changed(first, { y: frReduce(proofOf(first).y + 1n) }), second], [false, true]],
  ['wrong σ', [first, changed(second, { sigma: proofOf(second).sigma.add(G1.generator) }), third], [true, false, true]],
  ['wrong ψ', [changed(first, { psi: proofOf(first).psi.add(G1.generator) })], [false]],
  ['another z', [{ ...first, challenge: { ...first.challenge, z: frReduce(first.challenge.z + 1n) } }], [false]],
  ['coefficients ignored', [plainSum], [false]],
  ['coefficients ignored, in a failing batch', [plainSum, changed(second, { y: 0n }), first], [false, false, true]],
  [
    'exchanged',
    [
      { ...first, proof: second.proof },
      { ...second, proof: first.proof },
    ],
    [false, false],
  ],
  [
    'errors that cancel',
    [
      changed(first, { sigma: proofOf(first).sigma.add(G1.generator) }),
      changed(second, { sigma: proofOf(second).sigma.subtract(G1.generator) }),
    ],
    [false, false],
  ],
  ['half of another key', [first, { ...first, key: { v: first.key.v, w: third.key.w } }], [true, false]],
  ['other half of another key', [first, { ...first, key: { v: third.key.v, w: first.key.w } }], [true, false]],
  [
    'empty challenge',
    [{ ...changed(first, { sigma: G1.zero, y: 0n, psi: G1.zero }), challenge: { ...first.challenge, entries: [] } }],
    [false],
  ],
  ['σ outside the subgroup', [changed(first, { sigma: proofOf(first).sigma.add(lowOrder) })], [false]],
  ['ψ outside the subgroup', [changed(first, { psi: proofOf(first).psi.add(lowOrder) })], [false]],
  ['too long', [{ ...first, proof: Buffer.concat([first.proof, Buffer.of(0)]) }], [false]],
]

/** Claims that differ from the first in one part: no two may have the same weights. */
const weighed = [
  first,
  changed(first, { sigma: G1.generator }),
  changed(first, { y: 1n }),
  changed(first, { psi: G1.generator }),
  { ...first, challenge: second.challenge },
  { ...first, key: { v: first.key.w, w: first.key.w } },
  { ...first, key: { v: first.key.v, w: first.key.v } },
].map((claim) => ({ ...claim, proof: proofOf(claim) }))

/** The first thing a verification gets wrong, the cheap ones first. */
function mistakeOf({ verifyBatch, batchWeights }: Verification): string | undefined {
  const weights = weighed.map((claim) => batchWeights([claim])[0])
  if (new Set(weights).size < weighed.length) return 'weights'
  const mistaken = batches.find(([, claims, truth]) => {
    try {
      return verifyBatch(claims).some(({ ok }, i) => ok !== truth[i])
    } catch {
      return true
    }
  })
  return mistaken?.[0]
}

/** The module of a source file after a change of its text, imported without touching the disk. */
async function mutate(file: 'verify' | 'proof', replace: string, by: string): Promise<Verification> {
  const source = (name: string) => readFileSync(new URL(`../src/${name}.ts`, import.meta.url), 'utf8')
  const load = (text: string, replacements: Record<string, string> = {}) => {
    const script = stripTypeScriptTypes(text).replaceAll(/from '([^']+)'/g, (_, name: string) => {
      const url = name.startsWith('.') ? new URL(`../src/${name}`, import.meta.url).href : import.meta.resolve(name)
      return `from '${replacements[name] ?? url}'`
    })
    return `data:text/javascript,${encodeURIComponent(script).replaceAll("'", '%27')}`
  }
  const text = source(file)
  assert.equal(text.split(replace).length, 2, `"${replace}" stands once in ${file}.ts`)
  const changedText = text.replace(replace, by)
  if (file === 'verify') return import(load(changedText))
  return import(load(source('verify'), { './proof.ts': load(changedText) }))
}

const mutants: [string, 'verify' | 'proof', string, string][] = [
  ['names', 'verify', 'sumNames(equations).add(openings)', 'openings'],
  ['y', 'verify', '[frReduce(y), ', '[0n, '],
  ['z', 'verify', 'frReduce(-weight * challenge.z)', '0n'],
  ['ψ under w', 'verify', 'pairs.push([weightedSum(equations, ({ proof }) => proof.psi), key.w])', ''],
  ['σ', 'verify', 'pairs.push([sigma.negate(), G2.generator])', ''],
  ['ψ in the opening', 'verify', '...equations.map(({ proof }) => proof.psi)]', '...equations.map(() => G1.zero)]'],
  ['the weight of y', 'verify', 'sum + weight * proof.y', 'sum + proof.y'],
  ['weights', 'verify', 'equation.weight = weights[i]', 'equation.weight = 1n'],
  ['coefficients', 'verify', 'numbers.push(entry.coefficient * weight)', 'numbers.push(weight)'],
  ['coefficients after a failure', 'verify', '.map(({ coefficient }) => coefficient)', '.map(() => 1n)'],
  ['σ in the transcript', 'verify', 'proof.sigma.toBytes(),', ''],
  ['y in the transcript', 'verify', 'frToBytes(proof.y),', ''],
  ['ψ in the transcript', 'verify', 'proof.psi.toBytes(),', ''],
  ['the challenge in the transcript', 'verify', 'challengeDigest(challenge),', ''],
  ['v in the transcript', 'verify', 'key.v.toBytes(),\n', '\n'],
  ['w in the transcript', 'verify', 'key.w.toBytes(),\n', '\n'],
  ['w in telling taggers apart', 'verify', 'key.w.toBytes().toHex()', '1'],
  ['v in telling taggers apart', 'verify', 'key.v.toBytes().toHex()', '1'],
  ['the empty challenge', 'verify', '|| challenge.entries.length === 0', ''],
  ['the product', 'verify', 'return pairingProductIsOne(pairs)', 'return true'],
  ['the subgroup of σ', 'proof', 'sigma = G1.fromBytes', 'sigma = G1.trustedFromBytes'],
  ['the subgroup of ψ', 'proof', 'psi = G1.fromBytes', 'psi = G1.trustedFromBytes'],
  ['the end of a proof', 'proof', 'reader.end()', ''],
]

describe('verification', () => {
  it('judges every claim here rightly, also when loaded as the mutants are', async () => {
    assert.equal(mistakeOf(await import('../src/verify.ts')), undefined)
    const unchanged = 'return pairingProductIsOne(pairs)'
    assert.equal(mistakeOf(await mutate('verify', unchanged, unchanged)), undefined)
  })

  for (const [part, file, replace, by] of mutants) {
    it(`is caught when it leaves out ${part}`, async () => {
      assert.notEqual(mistakeOf(await mutate(file, replace, by)), undefined)
    })
  }
})
