import { ByteWriter, concatBytes, equalBytes, utf8Encode } from '@cumulus/bytes'
import type { BlsScheme } from '@cumulus/certificate'
import { sha256 } from '@cumulus/hash'
import { COIN_BYTES, COIN_SHARE_BYTES, type Coin, type CoinShare, SIGNATURE_BYTES } from '@cumulus/r2s'

/**
 * Stand-ins for Ed25519 and threshold BLS: far cheaper, and worth nothing outside a simulation, where nobody tries to
 * forge. They keep the shape that matters: a signature is one author's for one message, and a coin becomes known
 * only where enough right shares are.
 */
export function standInSign(author: number, message: Uint8Array): Uint8Array {
  const signature = new Uint8Array(SIGNATURE_BYTES)
  const hash = messageHash(author, message)
  const view = new DataView(signature.buffer)
  view.setUint32(0, hash)
  signature[63] = author
  return signature
}

export function standInVerify(author: number, message: Uint8Array, signature: Uint8Array): boolean {
  const hash = messageHash(author, message)
  return (
    signature[63] === author &&
    signature[0] === hash >>> 24 &&
    signature[1] === ((hash >>> 16) & 255) &&
    signature[2] === ((hash >>> 8) & 255) &&
    signature[3] === (hash & 255)
  )
}

function messageHash(author: number, message: Uint8Array): number {
  let hash = 0x811c_9dc5 ^ author
  for (let i = 0; i < message.length; i++) hash = Math.imul(hash ^ message[i]!, 0x0100_0193)
  return hash >>> 0
}

/** NOT A SIGNATURE: sums like BLS signatures do, so that votes and certificates are right or wrong as real ones. */
export class StandInBls implements BlsScheme {
  static keyOf(member: number): Uint8Array {
    return new Uint8Array(48).fill(member)
  }

  static sign(member: number, message: Uint8Array): Uint8Array {
    const signature = new Uint8Array(96)
    new DataView(signature.buffer).setUint32(0, messageHash(member, message))
    return signature
  }

  verifyBls(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
    return this.fastAggregateVerify(signature, message, [publicKey])
  }

  fastAggregateVerify(signature: Uint8Array, message: Uint8Array, publicKeys: readonly Uint8Array[]): boolean {
    const sum = publicKeys.reduce((total, key) => (total + messageHash(key[0]!, message)) >>> 0, 0)
    return sum === numberIn(signature) && signature.subarray(4).every((byte) => byte === 0)
  }

  aggregateSignatures(signatures: readonly Uint8Array[]): Uint8Array {
    const sum = Uint8Array.from(signatures[0]!)
    const total = signatures.reduce((value, signature) => (value + numberIn(signature)) >>> 0, 0)
    new DataView(sum.buffer).setUint32(0, total)
    for (let i = 4; i < sum.length; i++) sum[i] = signatures.reduce((mixed, signature) => mixed | signature[i]!, 0)
    return sum
  }
}

function numberIn(signature: Uint8Array): number {
  return new DataView(signature.buffer, signature.byteOffset).getUint32(0)
}

const WELL_FORMED = 0xc0

/** NOT A COIN: whoever knows the seed knows all its values. Takes the place of the threshold-BLS coin in simulations. */
export class StandInCoin implements Coin {
  readonly #seed: Uint8Array
  readonly #member: number

  constructor(seed: number, member: number) {
    this.#seed = concatBytes(utf8Encode('stand-in coin'), new ByteWriter(16).u53(seed).finish())
    this.#member = member
  }

  static wellFormed(share: Uint8Array): boolean {
    return share[0] === WELL_FORMED
  }

  share(round: number): Uint8Array {
    return shareOf(this.#member, round)
  }

  combine(
    round: number,
    shares: readonly CoinShare[],
  ): { readonly value: Uint8Array } | { readonly badShares: readonly number[] } {
    const bad = shares.filter(({ author, share }) => !equalBytes(share, shareOf(author, round)))
    if (bad.length > 0) return { badShares: bad.map(({ author }) => author) }
    return { value: this.#value(round) }
  }

  verify(round: number, value: Uint8Array): boolean {
    return equalBytes(value, this.#value(round))
  }

  #value(round: number): Uint8Array {
    const value = new Uint8Array(COIN_BYTES)
    value.set(sha256(concatBytes(this.#seed, new ByteWriter(16).u32(round).finish())))
    return value
  }
}

function shareOf(member: number, round: number): Uint8Array {
  const share = new Uint8Array(COIN_SHARE_BYTES)
  const view = new DataView(share.buffer)
  share[0] = WELL_FORMED
  share[1] = member
  view.setUint32(2, round)
  return share
}
