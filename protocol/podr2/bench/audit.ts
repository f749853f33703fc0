// What an audit costs: tagging (with hashing, beside hashing alone), proving, verifying one by one and in a batch; and the same
// by tags of RSA as CESS has them. Rounds run every contender once, so that a noisy neighbour slows all alike.
//
//     node --conditions=@cumulus/source protocol/podr2/bench/audit.ts [sectors] [challenged] [miners] [rounds]
//
// Times are of the processor, not of the clock: one core.

import { concatBytes } from '@cumulus/bytes'
import { blake3, sha256 } from '@cumulus/hash'
import { Evaluator } from '@cumulus/polynomial'
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
  type TaggerSecret,
  taggerKeyOf,
  trustedDecodePowers,
  verify,
  verifyBatch,
} from '../src/index.ts'
import { type RsaBench, rsaBench } from './rsa.ts'

/** What one round measured: times of the processor, one core. */
export interface AuditTimes {
  /** MB of fragments per second: F(α) of all blocks; with names and points; with the hash of the fragment; its hash alone. */
  readonly kernel: number
  readonly tag: number
  readonly hashAndTag: number
  readonly sha256: number
  /** ms. */
  readonly prove: number
  readonly verifySingle: number
  /** ms for each proof, in a batch of all miners; and where one proof of them is wrong. */
  readonly verifyBatched: number
  readonly verifyBatchedOneWrong: number
  /** Tags of RSA: MB/s of blocks, ms. */
  readonly rsaTag: number
  readonly rsaProve: number
  readonly rsaVerify: number
}

export interface AuditBench {
  readonly proofBytes: number
  readonly tagBytesPerFragment: number
  readonly fragmentBytes: number
  readonly rsaProofBytes: number
  /** Of the first tag and the proof, in hex. */
  readonly checksum: string
  /** Runs every contender once. @throws if a verdict is not as it should be */
  round(): AuditTimes
}

/** A fragment of main networks, cut down for small blocks. */
const FRAGMENT_BYTES_MAX = 8 * 2 ** 20

/** Blocks read before the first rate: as many as tagging has read. */
const WARM_UPS = 200

/** Read for each rate of a round. */
const REPEATED_BYTES = 64 * 2 ** 20

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

/**
 * Blocks of the batch's miners: checking takes a proof of 128 bytes and c names, whatever S is, and making a hundred proofs of
 * big blocks takes minutes. `verifySingle` is of a proof of big blocks.
 */
const BATCH_SECTORS_MAX = 64

/** So many miners, each with stripes, tags and a challenge of its own, under the key of one worker. */
function claimsOfMiners(secret: TaggerSecret, params: PodrParams, minerCount: number): ProofClaim[] {
  const small = { ...params, sectorCount: Math.min(params.sectorCount, BATCH_SECTORS_MAX) }
  const key = taggerKeyOf(secret)
  const powers = trustedDecodePowers(encodePowers(secret, small.sectorCount), small.sectorCount)
  const tagger = new Tagger(secret, small)
  const data = noise(blockBytes(small))
  return Array.from({ length: minerCount }, (_, miner) => {
    // One block a fragment, and no more stripes than are asked for: each name is this miner's own.
    const place = { group: (miner + 1) as GroupId, seat: (miner % 12) as Seat }
    const range = { ...place, firstStripe: 0 as StripeNumber, stripeCount: params.challengedCount, blockCount: 1 }
    const challenge = chal(challengeSeed(params.chainId, noise(32), Uint8Array.of(miner)), [range], small)!
    const builder = new ProofBuilder(challenge)
    challenge.entries.forEach(({ stripe }, i) => {
      builder.add(i, data, tagger.tagFragment(data, { ...place, stripe }))
    })
    return { proof: builder.finish(powers), challenge, key }
  })
}

/** One fragment of noise stands for all that a miner has to tag and to prove. */
export function benchAudit(
  params: PodrParams,
  minerCount: number,
  rsa: RsaBench = rsaBench(params.challengedCount),
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
  const challenge = chal(challengeSeed(params.chainId, noise(32), Uint8Array.of(0)), [range], params)!
  const single: ProofClaim = { proof: prove(challenge), challenge, key }
  const claims = claimsOfMiners(secret, params, minerCount)
  const withOneWrong = claims.with(minerCount >> 1, { ...claims[0]!, proof: claims.at(-1)!.proof })
  const evaluator = new Evaluator(secret.alpha)
  // Its code is compiled anew, and better, while it runs: the tagger's has been by now.
  for (let i = 0; i < WARM_UPS; i++) evaluator.evaluate(fragment.subarray(0, size))

  // Enough for a clock that ticks now and then.
  const repeats = Math.max(1, Math.min(64, Math.ceil(REPEATED_BYTES / fragment.length)))
  const rate = (action: () => void) => {
    const ms = processorMs(() => {
      for (let i = 0; i < repeats; i++) action()
    })
    return (repeats * fragment.length) / ms / 1000
  }
  const right = (verdict: boolean) => {
    if (!verdict) throw new Error('a verdict is wrong')
  }
  right(!rsa.verifyWrong())
  let roundIndex = 0
  const round = (): AuditTimes => {
    const at = place(roundIndex++ % stripeCount)
    const evaluate = () => {
      for (let block = 0; block < blocks; block++) {
        evaluator.evaluate(fragment.subarray(block * size, (block + 1) * size))
      }
    }
    const hashAndTag = () => {
      blake3(fragment)
      tagger.tagFragment(fragment, at)
    }
    const oneWrong = () => right(verifyBatch(withOneWrong).every(({ ok }, i) => ok === (i !== minerCount >> 1)))
    return {
      kernel: rate(evaluate),
      tag: rate(() => tagger.tagFragment(fragment, at)),
      hashAndTag: rate(hashAndTag),
      sha256: rate(() => sha256(fragment)),
      prove: processorMs(() => prove(challenge)),
      verifySingle: processorMs(() => right(verify(single).ok)),
      verifyBatched: processorMs(() => right(verifyBatch(claims).every(({ ok }) => ok))) / minerCount,
      verifyBatchedOneWrong: processorMs(oneWrong) / minerCount,
      rsaTag: rsa.taggedBytes / processorMs(() => rsa.tag()) / 1000,
      rsaProve: processorMs(() => rsa.prove()),
      rsaVerify: processorMs(() => right(rsa.verify())),
    }
  }
  return {
    proofBytes: single.proof.length,
    tagBytesPerFragment: blocks * TAG_BYTES,
    fragmentBytes: fragment.length,
    rsaProofBytes: rsa.proofBytes,
    checksum: sha256(concatBytes(tags[0]!, single.proof)).toHex(),
    round,
  }
}

if (import.meta.main) {
  const [sectors, challenged, miners, rounds] = [2, 3, 4, 5].map((i) => process.argv[i]) as (string | undefined)[]
  const params = { chainId: 1, sectorCount: Number(sectors ?? 32_768), challengedCount: Number(challenged ?? 100) }
  const minerCount = Number(miners ?? 100)
  const bench = benchAudit(params, minerCount)
  bench.round() // to warm up
  const all = Array.from({ length: Number(rounds ?? 5) }, () => bench.round())
  const line = (name: string, unit: string, pick: (times: AuditTimes) => number) => {
    const values = all.map(pick).toSorted((a, b) => a - b)
    const shown = [values[0]!, values[values.length >> 1]!, values.at(-1)!].map((value) =>
      value.toFixed(2).padStart(10),
    )
    process.stdout.write(`${name.padEnd(48)}${shown.join('')}  ${unit}\n`)
  }
  process.stdout.write(`S = ${params.sectorCount}, c = ${params.challengedCount}; proof ${bench.proofBytes} bytes, `)
  process.stdout.write(`tags ${bench.tagBytesPerFragment} bytes for a fragment of ${bench.fragmentBytes}\n`)
  process.stdout.write(`${''.padEnd(48)}     least    median      most\n`)
  line('kernel: F(α) alone', 'MB of fragments / s', ({ kernel }) => kernel)
  line('  to SHA-256', '×', ({ kernel, sha256: reference }) => kernel / reference)
  line('tag', 'MB of fragments / s', ({ tag }) => tag)
  line('  to SHA-256', '×', ({ tag, sha256: reference }) => tag / reference)
  line('hash (BLAKE3) and tag', 'MB of fragments / s', ({ hashAndTag }) => hashAndTag)
  line('SHA-256', 'MB of fragments / s', ({ sha256: reference }) => reference)
  line('prove', 'ms', ({ prove }) => prove)
  line('verify, one alone', 'ms', ({ verifySingle }) => verifySingle)
  line(`verify, each of ${minerCount} different ones in a batch`, 'ms', ({ verifyBatched }) => verifyBatched)
  line('  with one wrong among them', 'ms', ({ verifyBatchedOneWrong }) => verifyBatchedOneWrong)
  process.stdout.write(`tags of RSA, 2048 bits, 7 KiB a block; proof ${bench.rsaProofBytes} bytes\n`)
  line('tag', 'kB of blocks / s', ({ rsaTag }) => rsaTag * 1000)
  line('prove', 'ms', ({ rsaProve }) => rsaProve)
  line('verify', 'ms', ({ rsaVerify }) => rsaVerify)
}
