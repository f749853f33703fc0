import { hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import type { LogFilter } from './decode.ts'

const BLOOM_BYTES = 256

/** Bit positions of one filter, computed once: three per address or topic (yellow paper, section 4.3.1). */
export class BloomQuery {
  /** All of these must hold; each holds if any of its alternatives has its three bits set. */
  readonly #clauses: readonly (readonly (readonly [number, number, number])[])[]

  constructor(filter: LogFilter) {
    const clauses = []
    if (filter.addresses) clauses.push([...filter.addresses].map((address) => bitsOf(hexToBytes(address))))
    for (const topics of filter.topics) if (topics) clauses.push(topics.map((topic) => bitsOf(hexToBytes(topic))))
    this.#clauses = clauses
  }

  /** False if no log of the block can match; true if one may. */
  mayMatch(bloom: Uint8Array): boolean {
    return this.#clauses.every((alternatives) =>
      alternatives.some((bits) => bits.every((bit) => (bloom[BLOOM_BYTES - 1 - (bit >> 3)]! >> (bit & 7)) & 1)),
    )
  }
}

function bitsOf(value: Uint8Array): [number, number, number] {
  const digest = keccak256(value)
  const bit = (at: number) => ((digest[at]! << 8) | digest[at + 1]!) & 0x7ff
  return [bit(0), bit(2), bit(4)]
}
