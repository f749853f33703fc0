// What an audit costs: tagging (with hashing, beside hashing alone), proving, verifying one by one and in a batch; and the same
// by tags of RSA as CESS has them. Rounds run every contender once, so that a noisy neighbour slows all alike.
//
//     node --conditions=@cumulus/source protocol/podr2/bench/audit.ts [sectors] [challenged] [miners] [rounds]
//
// Times are of the processor, not of the clock: one core.

import { blake3, sha256 } from '@cumulus/hash'
import type { GroupId, Seat, StripeNumber } from '@cumulus/types'
import {
  blockBytes,
  blockCount,
  type Challenge,
  chal,
  challengeSeed,
  encodePowers,
  keyGen,
  type PodrParams,
  ProofBuilder,
  type ProofClaim,
  TAG_BYTES,
  Tagger,
  taggerKeyOf,
  trustedDecodePowers,
  verify,
  verifyBatch,
} from '../src/index.ts'
import { rsaBench } from './rsa.ts'

export interface AuditBench {
  proofBytes: number
  tagBytesPerFragment: number
  fragmentBytes: number
  /** MB of fragments per second of one core. */
  tag: Spread
  hashAndTag: Spread
  sha256: Spread
  /** ms of one core. */
  prove: Spread
  verifySingle: Spread
  /** Of each proof, in a batch of all miners; and where one proof of them is wrong. */
  verifyBatched: Spread
  verifyBatchedOneWrong: Spread
  /** Tags of RSA: MB/s of blocks, ms, bytes. */
  rsaTag: Spread
  rsaProve: Spread
  rsaVerify: Spread
  rsaProofBytes: number
  /** All verdicts were as they should be. */
  verdictsRight: boolean
}

interface Spread {
  best: number
  median: number
  worst: number
}

/** A fragment of main networks, cut down for small blocks. */
const FRAGMENT_BYTES_MAX = 8 * 2 ** 20

function spread(values: number[], higherIsBetter: boolean): Spread {
  const sorted = values.toSorted((a, b) => (higherIsBetter ? b - a : a - b))
  return { best: sorted[0]!, median: sorted[sorted.length >> 1]!, worst: sorted.at(-1)! }
}

function scaled({ best, median, worst }: Spread, by: number): Spread {
  return { best: best * by, median: median * by, worst: worst * by }
}

function processorMs(action: () => void): number {
  const start = process.cpuUsage()
  action()
  const { user, system } = process.cpuUsage(start)
  return Math.max(0.001, (user + system) / 1000)
}

function noise(byteLength: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(byteLength / 4))
  let x = 1
  for (let i = 0; i < words.length; i++) words[i] = x = (Math.imul(x, 1664525) + 1013904223) >>> 0
  return new Uint8Array(words.buffer, 0, byteLength)
}

/** One miner's data serve all: every miner has its own challenge over the same stripes of one seat. */
export function benchAudit(
  params: PodrParams,
  minerCount: number,
  roundCount: number,
  rsa = rsaBench(params.challengedCount),
): AuditBench {
  const size = blockBytes(params)
  const fragment = noise(Math.min(FRAGMENT_BYTES_MAX, 9 * size - size / 2))
  const blocks = blockCount(fragment.length, params)
  const stripeCount = Math.ceil((2 * params.challengedCount) / blocks)
  const secret = keyGen(noise(96))
  const key = taggerKeyOf(secret)
  const powers = trustedDecodePowers(encodePowers(secret, params.sectorCount), params.sectorCount)
  const tagger = new Tagger(secret, params)
  const place = (stripe: number) => ({ group: 1 as GroupId, stripe: stripe as StripeNumber, seat: 0 as Seat })
  const tags = Array.from({ length: stripeCount }, (_, stripe) => tagger.tagFragment(fragment, place(stripe)))
  const range = {
    group: 1 as GroupId,
    seat: 0 as Seat,
    firstStripe: 0 as StripeNumber,
    stripeCount,
    blockCount: blocks,
  }

  const prove = (challenge: Challenge): Uint8Array => {
    const builder = new ProofBuilder(challenge)
    challenge.entries.forEach(({ stripe, block }, i) => {
      const tag = tags[stripe]!.subarray(block * TAG_BYTES, (block + 1) * TAG_BYTES)
      builder.add(i, fragment.subarray(block * size, (block + 1) * size), tag)
    })
    return builder.finish(powers)
  }
  // Twelve proofs serve all claims of a batch: proving is slow, and verifying does not notice a repetition.
  const claims: ProofClaim[] = []
  const distinct = Math.min(minerCount, 12)
  for (let miner = 0; miner < minerCount; miner++) {
    const again = claims[miner - distinct]
    if (again !== undefined) {
      claims.push(again)
      continue
    }
    const challenge = chal(challengeSeed(params.chainId, noise(32), Uint8Array.of(miner)), [range], params)!
    claims.push({ proof: prove(challenge), challenge, key })
  }
  const withOneWrong = claims.with(minerCount >> 1, { ...claims[0]!, proof: claims[1]!.proof })

  const mb = (ms: number) => fragment.length / ms / 1000
  const samples = {
    tag: [],
    hashAndTag: [],
    sha256: [],
    prove: [],
    single: [],
    batched: [],
    oneWrong: [],
    rsaTag: [],
    rsaProve: [],
    rsaVerify: [],
  } as Record<string, number[]>
  let verdictsRight = !rsa.verifyWrong()
  const warmUpCount = 1
  for (let round = 0; round < roundCount + warmUpCount; round++) {
    const stripe = round % stripeCount
    const times = {
      tag: mb(processorMs(() => tagger.tagFragment(fragment, place(stripe)))),
      hashAndTag: mb(
        processorMs(() => {
          blake3(fragment)
          tagger.tagFragment(fragment, place(stripe))
        }),
      ),
      sha256: mb(processorMs(() => sha256(fragment))),
      prove: processorMs(() => prove(claims[0]!.challenge)),
      single: processorMs(() => {
        verdictsRight &&= verify(claims[round % minerCount]!).ok
      }),
      batched:
        processorMs(() => {
          verdictsRight &&= verifyBatch(claims).every(({ ok }) => ok)
        }) / minerCount,
      oneWrong:
        processorMs(() => {
          verdictsRight &&= verifyBatch(withOneWrong).every(({ ok }, i) => ok === (i !== minerCount >> 1))
        }) / minerCount,
      rsaTag: rsa.taggedBytes / processorMs(() => rsa.tag()) / 1000,
      rsaProve: processorMs(() => rsa.prove()),
      rsaVerify: processorMs(() => {
        verdictsRight &&= rsa.verify()
      }),
    }
    if (round < warmUpCount) continue
    for (const [name, value] of Object.entries(times)) samples[name]!.push(value)
  }
  return {
    proofBytes: claims[0]!.proof.length,
    tagBytesPerFragment: blocks * TAG_BYTES,
    fragmentBytes: fragment.length,
    tag: spread(samples['tag']!, true),
    hashAndTag: spread(samples['hashAndTag']!, true),
    sha256: spread(samples['sha256']!, true),
    prove: spread(samples['prove']!, false),
    verifySingle: spread(samples['single']!, false),
    verifyBatched: spread(samples['batched']!, false),
    verifyBatchedOneWrong: spread(samples['oneWrong']!, false),
    rsaTag: spread(samples['rsaTag']!, true),
    rsaProve: spread(samples['rsaProve']!, false),
    rsaVerify: spread(samples['rsaVerify']!, false),
    rsaProofBytes: rsa.proofBytes,
    verdictsRight,
  }
}

if (import.meta.main) {
  const [sectors, challenged, miners, rounds] = [2, 3, 4, 5].map((i) => process.argv[i]) as (string | undefined)[]
  const params = { chainId: 1, sectorCount: Number(sectors ?? 32_768), challengedCount: Number(challenged ?? 100) }
  const result = benchAudit(params, Number(miners ?? 100), Number(rounds ?? 5))
  const line = (name: string, { best, median, worst }: Spread, unit: string) =>
    process.stdout.write(
      `${name.padEnd(48)}${[best, median, worst].map((n) => n.toFixed(1).padStart(9)).join('')}  ${unit}\n`,
    )
  process.stdout.write(`S = ${params.sectorCount}, c = ${params.challengedCount}; proof ${result.proofBytes} bytes, `)
  process.stdout.write(`tags ${result.tagBytesPerFragment} bytes for a fragment of ${result.fragmentBytes}\n`)
  process.stdout.write(`${''.padEnd(48)}     best   median    worst\n`)
  line('tag', result.tag, 'MB of fragments / s')
  line('hash (BLAKE3) and tag', result.hashAndTag, 'MB of fragments / s')
  line('SHA-256', result.sha256, 'MB of fragments / s')
  line('prove', result.prove, 'ms')
  line('verify, one alone', result.verifySingle, 'ms')
  line(`verify, each of ${miners ?? 100} in a batch`, result.verifyBatched, 'ms')
  line('  with one wrong among them', result.verifyBatchedOneWrong, 'ms')
  process.stdout.write(`tags of RSA, 2048 bits, 7 KiB a block; proof ${result.rsaProofBytes} bytes\n`)
  line('tag', scaled(result.rsaTag, 1000), 'kB of blocks / s')
  line('prove', result.rsaProve, 'ms')
  line('verify', result.rsaVerify, 'ms')
  if (!result.verdictsRight) process.stdout.write('WRONG VERDICTS\n')
}
