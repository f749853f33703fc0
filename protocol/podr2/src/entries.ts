import { type GroupId, groupId, type StripeNumber, stripeNumber } from '@cumulus/types'
import { PodrError } from './podr-error.ts'
import { BLOCK_COUNT_MAX } from './podr-params.ts'

/** A challenged block without its seat: which one a miner has in a group, everybody knows. */
export interface ChallengedPlace {
  readonly group: GroupId
  readonly stripe: StripeNumber
  readonly block: number
}

/** Bytes of one entry: group u32 ‖ stripe u32 ‖ block u32, big-endian as contracts read them. */
export const ENTRY_BYTES = 12

/** The entries of a challenge as the chain announces them, in their order. */
export function encodeEntries(entries: readonly ChallengedPlace[]): Uint8Array {
  const bytes = new Uint8Array(entries.length * ENTRY_BYTES)
  const view = new DataView(bytes.buffer)
  entries.forEach(({ group, stripe, block }, i) => {
    view.setUint32(i * ENTRY_BYTES, group)
    view.setUint32(i * ENTRY_BYTES + 4, stripe)
    view.setUint32(i * ENTRY_BYTES + 8, block)
  })
  return bytes
}

/** @throws PodrError `BAD_ENTRIES` */
export function decodeEntries(bytes: Uint8Array): ChallengedPlace[] {
  if (bytes.length % ENTRY_BYTES !== 0) throw new PodrError('BAD_ENTRIES', `${bytes.length} bytes are no entries`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: bytes.length / ENTRY_BYTES }, (_, i) => {
    const block = view.getUint32(i * ENTRY_BYTES + 8)
    if (block >= BLOCK_COUNT_MAX) throw new PodrError('BAD_ENTRIES', `entry ${i} is of block ${block}`)
    const group = view.getUint32(i * ENTRY_BYTES)
    const stripe = view.getUint32(i * ENTRY_BYTES + 4)
    return { group: groupId(group), stripe: stripeNumber(stripe), block }
  })
}
