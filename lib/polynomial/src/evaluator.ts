import { FR_ORDER } from '@cumulus/bls'
import { ELEMENT_BYTES, FREE_ADDRESS, Kernel } from './kernel.ts'
import { PolynomialError } from './polynomial-error.ts'
import { SECTOR_BYTES, SECTOR_WORDS } from './sector.ts'

/** A row of the kernel: 15 steps of 8 words, after which its 32-bit sums are emptied. */
const ROW_WORDS = 120
const ROW_BYTES = 2 * ROW_WORDS
const DIGIT_COUNT = 22
const DIGIT_BITS = 12n
/** The table then has 0.65 MiB, which stays in the 1 MiB of L2 that server cores have beside the data that stream past. */
const CHUNK_ROWS = 128
const CHUNK_BYTES = CHUNK_ROWS * ROW_BYTES
const CHUNK_SECTORS = CHUNK_BYTES / SECTOR_BYTES
const CHUNKS_AT_ONCE = 4

/** Most bytes of one call: a limit of good sense, not of the method. */
export const EVALUATE_BYTES_MAX = 2 ** 30

const TABLE_ADDRESS = FREE_ADDRESS
const DATA_ADDRESS = TABLE_ADDRESS + CHUNK_ROWS * DIGIT_COUNT * ROW_BYTES
const SUMS_ADDRESS = DATA_ADDRESS + CHUNKS_AT_ONCE * CHUNK_BYTES
const FACTOR_ADDRESS = SUMS_ADDRESS + CHUNKS_AT_ONCE * DIGIT_COUNT * 16
const VALUE_ADDRESS = FACTOR_ADDRESS + 64
const RESULT_ADDRESS = VALUE_ADDRESS + 64
const END_ADDRESS = RESULT_ADDRESS + 64

/**
 * Evaluates data, read as polynomials, at one point that never changes: F(α) for many F.
 *
 * Every word t of a chunk has its own weight α^⌊t/15⌋ · 2^(16·(t mod 15)) modulo r, cut into 22 signed digits of 12 bits. So
 * the value of a chunk is 22 dot products of 16-bit words with 16-bit digits, which SIMD does eight at a time; chunks are joined
 * by Horner's rule, one step of field arithmetic for each 30 KiB.
 *
 * One thread each. 0.8 MiB of memory; making one takes some 30 ms.
 */
export class Evaluator {
  readonly #kernel = new Kernel(END_ADDRESS - FREE_ADDRESS)

  /** @throws PolynomialError `BAD_COEFFICIENT` if the point is not a residue in [0, r) */
  constructor(point: bigint) {
    if (point < 0n || point >= FR_ORDER) throw new PolynomialError('BAD_COEFFICIENT', 'point is outside [0, r)')
    const power = this.#writeTable(point)
    this.#kernel.writeElement(FACTOR_ADDRESS, power)
  }

  /**
   * The value at the point of Σ sector_j · X^j, a residue in [0, r). The last sector is filled up with zeros.
   *
   * @throws PolynomialError `BAD_LENGTH` above `EVALUATE_BYTES_MAX`
   */
  evaluate(data: Uint8Array): bigint {
    if (data.length > EVALUATE_BYTES_MAX) {
      throw new PolynomialError('BAD_LENGTH', `${data.length} bytes, at most ${EVALUATE_BYTES_MAX}`)
    }
    const { bytes, functions } = this.#kernel
    bytes.fill(0, VALUE_ADDRESS, VALUE_ADDRESS + ELEMENT_BYTES)
    // From the last chunk to the first. What does not fill four chunks goes first, one by one.
    let chunk = Math.ceil(data.length / CHUNK_BYTES)
    while (chunk % CHUNKS_AT_ONCE !== 0 || chunk * CHUNK_BYTES > data.length) {
      chunk--
      this.#one(data.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES))
    }
    while (chunk > 0) {
      chunk -= CHUNKS_AT_ONCE
      bytes.set(data.subarray(chunk * CHUNK_BYTES, (chunk + CHUNKS_AT_ONCE) * CHUNK_BYTES), DATA_ADDRESS)
      functions.dotFour(DATA_ADDRESS, CHUNK_BYTES, TABLE_ADDRESS, SUMS_ADDRESS)
      for (let i = CHUNKS_AT_ONCE - 1; i >= 0; i--) {
        functions.addChunk(VALUE_ADDRESS, FACTOR_ADDRESS, SUMS_ADDRESS + i * DIGIT_COUNT * 16)
      }
    }
    return this.#kernel.readElement(VALUE_ADDRESS, RESULT_ADDRESS)
  }

  /** One chunk, perhaps a short one, filled up with zeros to whole rows. */
  #one(data: Uint8Array): void {
    const { bytes, functions } = this.#kernel
    const rows = Math.ceil(data.length / ROW_BYTES)
    bytes.set(data, DATA_ADDRESS)
    bytes.fill(0, DATA_ADDRESS + data.length, DATA_ADDRESS + rows * ROW_BYTES)
    functions.dotOne(DATA_ADDRESS, rows, TABLE_ADDRESS, SUMS_ADDRESS)
    functions.addChunk(VALUE_ADDRESS, FACTOR_ADDRESS, SUMS_ADDRESS)
  }

  /** Row by row, digit by digit, the digits of the 120 words. @returns the power of the point that joins chunks */
  #writeTable(point: bigint): bigint {
    const table = new Int16Array(this.#kernel.bytes.buffer, TABLE_ADDRESS, CHUNK_ROWS * DIGIT_COUNT * ROW_WORDS)
    let power = 1n
    for (let sector = 0; sector < CHUNK_SECTORS; sector++) {
      let weight = power
      for (let word = 0; word < SECTOR_WORDS; word++) {
        const index = sector * SECTOR_WORDS + word
        const row = Math.floor(index / ROW_WORDS)
        writeDigits(table, row * DIGIT_COUNT * ROW_WORDS + (index % ROW_WORDS), weight)
        weight = (weight << 16n) % FR_ORDER
      }
      power = (power * point) % FR_ORDER
    }
    return power
  }
}

/** 22 signed digits, lowest first, `ROW_WORDS` apart, each in [−2^11, 2^11). */
function writeDigits(table: Int16Array, offset: number, weight: bigint): void {
  let carry = 0
  // Two digits of 12 bits at a time: numbers are quicker than bigints.
  for (let digit = 0; digit < DIGIT_COUNT; digit += 2, weight >>= 2n * DIGIT_BITS) {
    const pair = Number(weight & 0xff_ffffn)
    for (let half = 0; half < 2; half++) {
      let value = ((pair >> (12 * half)) & 0xfff) + carry
      carry = value >= 2048 ? 1 : 0
      if (carry === 1) value -= 4096
      table[offset + (digit + half) * ROW_WORDS] = value
    }
  }
}
