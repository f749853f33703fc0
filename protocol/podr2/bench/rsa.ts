// The scheme of CESS's PoDR² for comparison (white paper, §3.2): tags of RSA.
//
//     σᵢ = (H(name ‖ i) · Π uⱼ^mᵢⱼ)^d mod N     μⱼ = Σ ν·mᵢⱼ     σ = Π σᵢ^ν     check: σ^e = Π H(name ‖ i)^ν · Π uⱼ^μⱼ
//
// Powers with long exponents and the private operation are OpenSSL's, through node:crypto: Diffie-Hellman's public key is just
// u^m mod N. The rest, products and short exponents, are BigInts and take little.

import { constants, createDiffieHellman, generateKeyPairSync, type KeyObject, privateEncrypt } from 'node:crypto'
import { sha256 } from '@cumulus/hash'

const MODULUS_BYTES = 256
/** Combined with coefficients of 128 bits, numbers of such sectors stay below N: longer ones are no cheaper by the byte. */
export const RSA_SECTOR_BYTES = 224
/** Sectors of a block: 7 KiB, like CESS's chunks in size. A proof holds one number for each. */
export const RSA_SECTOR_COUNT = 32

export interface RsaProof {
  readonly sigma: bigint
  readonly mu: readonly bigint[]
}

export interface RsaEntry {
  readonly block: number
  readonly coefficient: bigint
}

export class RsaTagger {
  readonly #key: KeyObject
  readonly #modulusBytes: Buffer
  readonly #modulus: bigint
  readonly #exponent: bigint
  readonly #bases: Buffer[]

  constructor(sectorCount = RSA_SECTOR_COUNT) {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 8 * MODULUS_BYTES })
    const { n, e } = publicKey.export({ format: 'jwk' }) as { n: string; e: string }
    this.#key = privateKey
    this.#modulusBytes = Buffer.from(n, 'base64url')
    this.#modulus = toNumber(this.#modulusBytes)
    this.#exponent = toNumber(Buffer.from(e, 'base64url'))
    this.#bases = Array.from({ length: sectorCount }, (_, j) => toBytes(this.#hash('base', j)))
  }

  get blockBytes(): number {
    return this.#bases.length * RSA_SECTOR_BYTES
  }

  tag(block: Uint8Array, index: number): bigint {
    let product = this.#hash('block', index)
    for (const [j, sector] of this.#sectors(block).entries()) {
      product = (product * this.#power(this.#bases[j]!, sector)) % this.#modulus
    }
    const options = { key: this.#key, padding: constants.RSA_NO_PADDING }
    return toNumber(privateEncrypt(options, toBytes(product)))
  }

  prove(
    entries: readonly RsaEntry[],
    blockAt: (index: number) => Uint8Array,
    tagAt: (index: number) => bigint,
  ): RsaProof {
    const mu = this.#bases.map(() => 0n)
    let sigma = 1n
    for (const { block, coefficient } of entries) {
      for (const [j, sector] of this.#sectors(blockAt(block)).entries()) mu[j]! += coefficient * toNumber(sector)
      sigma = (sigma * this.#shortPower(tagAt(block), coefficient)) % this.#modulus
    }
    return { sigma, mu }
  }

  verify(entries: readonly RsaEntry[], { sigma, mu }: RsaProof): boolean {
    let product = 1n
    for (const { block, coefficient } of entries) {
      product = (product * this.#shortPower(this.#hash('block', block), coefficient)) % this.#modulus
    }
    for (const [j, number] of mu.entries()) {
      product = (product * this.#power(this.#bases[j]!, toBytes(number))) % this.#modulus
    }
    return this.#shortPower(sigma, this.#exponent) === product
  }

  /** As it would be sent: σ and all μ. */
  get proofBytes(): number {
    return MODULUS_BYTES * (1 + this.#bases.length)
  }

  #sectors(block: Uint8Array): Uint8Array[] {
    return this.#bases.map((_, j) => block.subarray(j * RSA_SECTOR_BYTES, (j + 1) * RSA_SECTOR_BYTES))
  }

  /** base^exponent mod N by OpenSSL. */
  #power(base: Buffer, exponent: Uint8Array): bigint {
    if (exponent.every((byte) => byte === 0)) return 1n
    const group = createDiffieHellman(this.#modulusBytes, base)
    group.setPrivateKey(exponent)
    return toNumber(group.generateKeys())
  }

  #shortPower(base: bigint, exponent: bigint): bigint {
    let result = 1n
    for (let bit = BigInt(exponent.toString(2).length); bit-- > 0n; ) {
      result = (result * result) % this.#modulus
      if ((exponent >> bit) & 1n) result = (result * base) % this.#modulus
    }
    return result
  }

  /** A number below N for a label. */
  #hash(kind: string, index: number): bigint {
    const parts = Array.from({ length: MODULUS_BYTES / 32 }, (_, i) => sha256(Buffer.from(`${kind}/${index}/${i}`)))
    return toNumber(Buffer.concat(parts)) % this.#modulus
  }
}

function toNumber(bytes: Uint8Array): bigint {
  return BigInt(`0x${bytes.toHex()}`)
}

function toBytes(number: bigint): Buffer {
  return Buffer.from(number.toString(16).padStart(2 * MODULUS_BYTES, '0'), 'hex')
}

export interface RsaBench {
  readonly taggedBytes: number
  readonly proofBytes: number
  readonly tagBytesPerBlock: number
  tag(): void
  prove(): void
  verify(): boolean
  /** The same for a proof of other data. */
  verifyWrong(): boolean
}

/** A few blocks serve: what a tag costs does not depend on how many there are. */
export function rsaBench(challengedCount: number, sectorCount = RSA_SECTOR_COUNT): RsaBench {
  const tagger = new RsaTagger(sectorCount)
  const block = new Uint8Array(tagger.blockBytes).map((_, i) => (i * 197 + (i >> 8)) & 255)
  const tag = tagger.tag(block, 0)
  // All entries are of this block, whatever their number: proving and checking cost the same.
  const entries = Array.from({ length: challengedCount }, (_, i) => ({
    block: 0,
    coefficient: (1n << 127n) + BigInt(i),
  }))
  const proof = tagger.prove(
    entries,
    () => block,
    () => tag,
  )
  const wrong = { ...proof, mu: proof.mu.with(0, proof.mu[0]! + 1n) }
  return {
    taggedBytes: block.length,
    proofBytes: tagger.proofBytes,
    tagBytesPerBlock: MODULUS_BYTES,
    tag: () => void tagger.tag(block, 0),
    prove: () =>
      void tagger.prove(
        entries,
        () => block,
        () => tag,
      ),
    verify: () => tagger.verify(entries, proof),
    verifyWrong: () => tagger.verify(entries, wrong),
  }
}
