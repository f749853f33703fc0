import { hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import type { Log } from '../vm/vm.ts'

/** 2,048 bits; each address and topic of a log sets three of them (yellow paper, section 4.3.1). */
export const BLOOM_BYTES = 256

export function bloomOf(logs: readonly Log[]): Uint8Array {
  const bloom = new Uint8Array(BLOOM_BYTES)
  for (const { address, topics } of logs) {
    for (const item of [hexToBytes(address), ...topics]) {
      for (const bit of bitsOf(item)) bloom[BLOOM_BYTES - 1 - (bit >> 3)]! |= 1 << (bit & 7)
    }
  }
  return bloom
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
  return [0, 2, 4].map((i) => ((hash[i]! << 8) | hash[i + 1]!) & 2047)
}
