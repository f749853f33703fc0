import { hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import type { Address } from '@cumulus/types'
import type { Log } from '../vm/vm.ts'

/** 2,048 bits; each address and topic of a log sets three of them (yellow paper, section 4.3.1). */
export const BLOOM_BYTES = 256

/** Addresses whose bits are remembered: the logs of a block are those of a few contracts. */
const REMEMBERED_MAX = 1_000
const bitsOfAddress = new Map<Address, readonly number[]>()

export function bloomOf(logs: readonly Log[]): Uint8Array {
  const bloom = new Uint8Array(BLOOM_BYTES)
  for (const { address, topics } of logs) {
    let bits = bitsOfAddress.get(address)
    if (bits === undefined) {
      if (bitsOfAddress.size >= REMEMBERED_MAX) bitsOfAddress.clear()
      bitsOfAddress.set(address, (bits = bitsOf(hexToBytes(address))))
    }
    setBits(bloom, bits)
    for (const topic of topics) setBits(bloom, bitsOf(topic))
  }
  return bloom
}

function setBits(bloom: Uint8Array, bits: readonly number[]): void {
  for (const bit of bits) bloom[BLOOM_BYTES - 1 - (bit >> 3)]! |= 1 << (bit & 7)
}

/** False if no log in the bloom bears `item` (an address or a topic); true means "perhaps". */
export function mayContain(bloom: Uint8Array, item: Uint8Array): boolean {
  return bitsOf(item).every((bit) => (bloom[BLOOM_BYTES - 1 - (bit >> 3)]! & (1 << (bit & 7))) !== 0)
}

/** target |= source */
export function addBloom(target: Uint8Array, source: Uint8Array): void {
  for (let i = 0; i < BLOOM_BYTES; i++) target[i]! |= source[i]!
}

function bitsOf(item: Uint8Array): number[] {
  const hash = keccak256(item)
  return [((hash[0]! << 8) | hash[1]!) & 2047, ((hash[2]! << 8) | hash[3]!) & 2047, ((hash[4]! << 8) | hash[5]!) & 2047]
}
