import { ByteWriter, concatBytes } from '@cumulus/bytes'
import { blake3 } from '@cumulus/hash'

// All randomness of this package is hashed from something everybody knows (or, for nonces, from a secret): block i of a
// stream is BLAKE3 of its domain, its seed and i.

/** 64 bytes hashed from domain, seed and index. */
export function uniform(domain: Uint8Array, seed: Uint8Array, index: number): Uint8Array {
  const block = stream(domain, seed)
  return concatBytes(block(2 * index), block(2 * index + 1))
}

/** `count` numbers of 128 bits. The chance that a false statement survives them is 2^-128. */
export function coefficients(domain: Uint8Array, seed: Uint8Array, count: number): bigint[] {
  const block = stream(domain, seed)
  return Array.from({ length: count }, (_, i) => {
    const view = viewOf(block(i))
    return (view.getBigUint64(8, true) << 64n) | view.getBigUint64(0, true)
  })
}

/** Draws whole numbers below a limit of at most 2^53: of 128 bits, so the bias of `%` is below 2^-75. */
export function drawer(domain: Uint8Array, seed: Uint8Array): (index: number, limit: number) => number {
  const block = stream(domain, seed)
  return (index, limit) => {
    const view = viewOf(block(index))
    return Number(((view.getBigUint64(8, true) << 64n) | view.getBigUint64(0, true)) % BigInt(limit))
  }
}

/** The blocks of a stream, 32 bytes each. */
function stream(domain: Uint8Array, seed: Uint8Array): (index: number) => Uint8Array {
  // Lengths first: no two pairs of domain and seed look alike.
  const message = new ByteWriter(16 + domain.length + seed.length).prefixed(domain).prefixed(seed).u32(0).finish()
  const view = viewOf(message)
  return (index) => {
    view.setUint32(message.length - 4, index, true)
    return blake3(message)
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
