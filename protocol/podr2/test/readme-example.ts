import {
  chal,
  challengeSeed,
  decodePowers,
  encodePowers,
  keyGen,
  ProofBuilder,
  TAG_BYTES,
  Tagger,
  taggerKeyOf,
  verifyBatch,
} from '@cumulus/podr2'
import type { GroupId, Seat, StripeNumber } from '@cumulus/types'

const params = { chainId: 27_103, sectorCount: 64, challengedCount: 4 } // blocks of 1,920 bytes
const at = { group: 7 as GroupId, seat: 2 as Seat }

// A TEE worker: its key, and the tags of a fragment of six blocks.
const secret = keyGen(new Uint8Array(96).fill(1)) // 96 bytes nobody can guess
const key = taggerKeyOf(secret)
const fragment = new Uint8Array(11_000).fill(42)
const tags = new Tagger(secret, params).tagFragment(fragment, { ...at, stripe: 0 as StripeNumber })

// Everybody: what the miner in that seat has to answer now.
const range = { ...at, firstStripe: 0 as StripeNumber, stripeCount: 1, blockCount: 6 }
const beacon = new Uint8Array(32).fill(9)
const challenge = chal(challengeSeed(params.chainId, beacon, new Uint8Array(20)), [range], params)!

// The miner.
const powers = decodePowers(encodePowers(secret, params.sectorCount), key, params.sectorCount)
const builder = new ProofBuilder(challenge)
challenge.entries.forEach(({ block }, i) => {
  const data = fragment.subarray(block * 1920, (block + 1) * 1920)
  builder.add(i, data, tags.subarray(block * TAG_BYTES, (block + 1) * TAG_BYTES))
})
export const proof = builder.finish(powers) // 128 bytes

// Every validator.
export const verdicts = verifyBatch([{ proof, challenge, key }]) // [{ ok: true }]
