import type { G1Vector } from '@cumulus/bls'
import { blake3 } from '@cumulus/hash'
import type { GroupId, Seat, StripeNumber } from '@cumulus/types'
import {
  blockBytes,
  type Challenge,
  chal,
  challengeSeed,
  decodePowers,
  encodePowers,
  type FragmentPlace,
  keyGen,
  type PodrParams,
  ProofBuilder,
  TAG_BYTES,
  Tagger,
  type TaggerKey,
  type TaggerSecret,
  taggerKeyOf,
} from '../src/index.ts'

/** The protocol of main networks on blocks of 480 bytes, eight at a time. */
export const params: PodrParams = { chainId: 27_103, sectorCount: 16, challengedCount: 8 }
export const BLOCK_BYTES = blockBytes(params)
/** Two whole blocks and a short one. */
export const FRAGMENT_BYTES = 2 * BLOCK_BYTES + 100
export const BLOCK_COUNT = 3
export const STRIPE_COUNT = 5

/** Bytes that look random, the same for the same label. */
export function noise(byteLength: number, label: string): Uint8Array {
  const out = new Uint8Array(byteLength)
  for (let at = 0; at < byteLength; at += 32) {
    out.set(blake3(new TextEncoder().encode(`${label}/${at}`)).subarray(0, Math.min(32, byteLength - at)), at)
  }
  return out
}

export function place(group: number, stripe: number, seat: number): FragmentPlace {
  return { group: group as GroupId, stripe: stripe as StripeNumber, seat: seat as Seat }
}

/** A TEE worker, with all that is public of it. */
export interface Worker {
  secret: TaggerSecret
  key: TaggerKey
  powers: G1Vector
  tagger: Tagger
}

export function makeWorker(label: string): Worker {
  const secret = keyGen(noise(96, label))
  const key = taggerKeyOf(secret)
  const powers = decodePowers(encodePowers(secret, params.sectorCount), key, params.sectorCount)
  return { secret, key, powers, tagger: new Tagger(secret, params) }
}

export const worker = makeWorker('worker')
export const otherWorker = makeWorker('another worker')

/** A miner in one seat of one group, with its fragments and tags. */
export class TestMiner {
  readonly group: number
  readonly seat: number
  readonly worker: Worker
  readonly fragments: Uint8Array[]
  readonly tags: Uint8Array[]

  constructor(group: number, seat: number, by: Worker = worker) {
    this.group = group
    this.seat = seat
    this.worker = by
    this.fragments = Array.from({ length: STRIPE_COUNT }, (_, i) => noise(FRAGMENT_BYTES, `${group}/${i}/${seat}`))
    this.tags = this.fragments.map((fragment, stripe) => by.tagger.tagFragment(fragment, place(group, stripe, seat)))
  }

  challenge(era: number): Challenge {
    const range = {
      group: this.group as GroupId,
      seat: this.seat as Seat,
      firstStripe: 0 as StripeNumber,
      stripeCount: STRIPE_COUNT,
      blockCount: BLOCK_COUNT,
    }
    const miner = Uint8Array.of(this.group, this.seat)
    return chal(challengeSeed(params.chainId, noise(32, `beacon ${era}`), miner), [range], params)!
  }

  block(stripe: number, block: number): Uint8Array {
    return this.fragments[stripe]!.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES)
  }

  tag(stripe: number, block: number): Uint8Array {
    return this.tags[stripe]!.subarray(block * TAG_BYTES, (block + 1) * TAG_BYTES)
  }

  /** Answers a challenge, even one that is not its own, with what it has in those places. */
  prove(challenge: Challenge): Uint8Array {
    const builder = new ProofBuilder(challenge)
    challenge.entries.forEach(({ stripe, block }, i) => {
      builder.add(i, this.block(stripe, block), this.tag(stripe, block))
    })
    return builder.finish(this.worker.powers)
  }
}
