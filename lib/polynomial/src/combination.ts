import { FR_ORDER } from '@cumulus/bls'
import { ELEMENT_BYTES, FREE_ADDRESS, Kernel } from './kernel.ts'
import { PolynomialError } from './polynomial-error.ts'
import { SECTOR_BYTES, SECTOR_WORDS } from './sector.ts'

/** Most blocks of one combination: its columns of 64 bits hold 10,922 (assembly/kernel.ts). */
export const COMBINED_COUNT_MAX = 10_000
/** Most sectors of a block. */
export const SECTOR_COUNT_MAX = 65_536

const COLUMN_BYTES = 15 * 8
const COEFFICIENT_BITS = 128n

/** P(z), and the coefficients of (P − P(z)) / (X − z), 32 bytes each, little-endian: as sums of multiples take them. */
export interface Division {
  readonly value: bigint
  readonly quotient: Uint8Array
}

/**
 * The linear combination P = Σ ν_i · F_i of blocks of data, read as polynomials. Blocks come one after the other, so that no two
 * need be in memory together; only sums without carries are kept, and P is reduced once.
 *
 * Memory: 182 bytes a sector, 6 MB for 32,768. One thread, one result.
 */
export class Combination {
  readonly #kernel: Kernel
  readonly #sectorCount: number
  readonly #blockAddress: number
  readonly #coefficientAddress: number
  readonly #elementsAddress: number
  #coefficientSum = 0n
  #blockCount = 0
  #finished = false

  /** @throws PolynomialError `BAD_LENGTH` unless 1 ≤ sectorCount ≤ `SECTOR_COUNT_MAX` */
  constructor(sectorCount: number) {
    if (!Number.isInteger(sectorCount) || sectorCount < 1 || sectorCount > SECTOR_COUNT_MAX) {
      throw new PolynomialError('BAD_LENGTH', `${sectorCount} sectors are outside 1..${SECTOR_COUNT_MAX}`)
    }
    this.#sectorCount = sectorCount
    this.#blockAddress = FREE_ADDRESS + sectorCount * COLUMN_BYTES
    this.#coefficientAddress = align(this.#blockAddress + sectorCount * SECTOR_BYTES + 8)
    this.#elementsAddress = this.#coefficientAddress + 192
    this.#kernel = new Kernel(this.#elementsAddress + sectorCount * ELEMENT_BYTES - FREE_ADDRESS)
  }

  /**
   * Adds coefficient · block. A block shorter than the polynomial is filled up with zeros.
   *
   * @param coefficient in [0, 2^128)
   * @throws PolynomialError `BAD_LENGTH`, `BAD_COEFFICIENT`, `TOO_MANY_BLOCKS`, `FINISHED`
   */
  add(block: Uint8Array, coefficient: bigint): void {
    this.#checkOpen()
    const { bytes, functions } = this.#kernel
    const capacity = this.#sectorCount * SECTOR_BYTES
    if (block.length > capacity)
      throw new PolynomialError('BAD_LENGTH', `block of ${block.length} bytes over ${capacity}`)
    if (coefficient < 0n || coefficient >> COEFFICIENT_BITS !== 0n) {
      throw new PolynomialError('BAD_COEFFICIENT', 'coefficient is outside [0, 2^128)')
    }
    if (this.#blockCount === COMBINED_COUNT_MAX) {
      throw new PolynomialError('TOO_MANY_BLOCKS', `more than ${COMBINED_COUNT_MAX} blocks`)
    }
    const limbs = new Uint32Array(bytes.buffer, this.#coefficientAddress, 6)
    for (let i = 0; i < 6; i++) limbs[i] = Number((coefficient >> BigInt(24 * i)) & 0xff_ffffn)
    bytes.set(block, this.#blockAddress)
    bytes.fill(0, this.#blockAddress + block.length, this.#blockAddress + capacity)
    functions.accumulate(FREE_ADDRESS, this.#blockAddress, this.#sectorCount, this.#coefficientAddress)
    this.#coefficientSum += coefficient
    this.#blockCount++
  }

  /**
   * Ends the combination and divides it by X − z.
   *
   * @throws PolynomialError `BAD_COEFFICIENT` if z is not a residue in [0, r); `FINISHED`
   */
  divide(z: bigint): Division {
    this.#checkOpen()
    if (z < 0n || z >= FR_ORDER) throw new PolynomialError('BAD_COEFFICIENT', 'z is outside [0, r)')
    this.#finished = true
    const { functions, bytes } = this.#kernel
    const count = this.#sectorCount
    const correction = this.#coefficientAddress
    const zAddress = correction + 64
    const valueAddress = zAddress + 64
    this.#kernel.writeElement(correction, -this.#coefficientSum * WORD_OFFSETS)
    this.#kernel.writeElement(zAddress, z)
    functions.reduceColumns(this.#elementsAddress, FREE_ADDRESS, count, correction)
    // The quotient takes the place of the columns.
    functions.divide(FREE_ADDRESS, valueAddress, this.#elementsAddress, count, zAddress)
    return {
      value: this.#kernel.readPlain(valueAddress),
      quotient: bytes.slice(FREE_ADDRESS, FREE_ADDRESS + (count - 1) * 32),
    }
  }

  #checkOpen(): void {
    if (this.#finished) throw new PolynomialError('FINISHED', 'the result of this combination was taken')
  }
}

/** What `accumulate` adds to a sector to make its words unsigned: Σ 2^15 · 2^(16k). */
const WORD_OFFSETS = Array.from({ length: SECTOR_WORDS }, (_, k) => 1n << BigInt(15 + 16 * k)).reduce((a, b) => a + b)

function align(address: number): number {
  return Math.ceil(address / 64) * 64
}
