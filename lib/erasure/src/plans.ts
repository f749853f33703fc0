import { type CodeShape, checkShape, encodesByFft } from './codec.ts'
import { ErasureError } from './erasure-error.ts'
import { generatorMatrix } from './generator-matrix.ts'
import { type Kernel, type ProductTables, productTables } from './kernel.ts'
import { invertMatrix, type Matrix, multiplyMatrices } from './matrix.ts'

/** Tables kept for loss patterns seen before: all 495 patterns of 4+8 take 0.5 MB at most. The oldest go first. */
export const PLAN_CACHE_BYTES_MAX = 2 ** 21
export const PLAN_CACHE_COUNT_MAX = 1024

/** Which fragments are read and which are made of them; all ascending. */
export interface RebuildTask {
  /** Exactly `dataCount` of those present. */
  readonly used: readonly number[]
  /** Those wanted that are not present. */
  readonly missing: readonly number[]
}

/** What a code knows besides bytes: its matrix, and the tables for encoding and for each loss pattern. */
export class Plans {
  readonly dataCount: number
  readonly parityCount: number
  readonly #generator: Matrix
  readonly #byFft: boolean
  #encodeTables: ProductTables | undefined
  /** In the order of last use. */
  readonly #rebuildTables = new Map<string, ProductTables>()
  #cachedBytes = 0

  constructor(shape: CodeShape) {
    checkShape(shape)
    this.dataCount = shape.dataCount
    this.parityCount = shape.parityCount
    this.#generator = generatorMatrix(shape)
    this.#byFft = encodesByFft(shape)
  }

  get fragmentCount(): number {
    return this.dataCount + this.parityCount
  }

  /** Parity from data; addresses as in `Kernel.multiply`. */
  encode(kernel: Kernel, data: readonly number[], parity: readonly number[], fragmentBytes: number): void {
    if (this.parityCount === 0 || fragmentBytes === 0) return
    if (this.#byFft) {
      kernel.encodeFft(data, parity, fragmentBytes)
      return
    }
    this.#encodeTables ??= productTables(this.#generator.slice(this.dataCount), this.dataCount)
    kernel.multiply(this.#encodeTables, data, parity, fragmentBytes)
  }

  /**
   * Data fragments are preferred as sources: the more of them are used, the more of the matrix is zero and one.
   *
   * @throws ErasureError `BAD_INDEX`, `TOO_FEW_FRAGMENTS`
   */
  task(present: readonly number[], wanted: readonly number[]): RebuildTask {
    const presentSet = this.#indexSet(present)
    const wantedSet = this.#indexSet(wanted)
    if (presentSet.size < this.dataCount) {
      throw new ErasureError('TOO_FEW_FRAGMENTS', { present: presentSet.size, needed: this.dataCount })
    }
    const ascending = (a: number, b: number) => a - b
    return {
      used: [...presentSet].sort(ascending).slice(0, this.dataCount),
      missing: [...wantedSet].filter((index) => !presentSet.has(index)).sort(ascending),
    }
  }

  /** The tables that make `missing` of `used`. */
  rebuildTables({ used, missing }: RebuildTask): ProductTables {
    const pattern = `${used.join()}>${missing.join()}`
    let tables = this.#rebuildTables.get(pattern)
    if (tables === undefined) {
      const decode = invertMatrix(used.map((index) => this.#generator[index]!))
      const rows = missing.map((index) => this.#generator[index]!)
      tables = productTables(multiplyMatrices(rows, decode), this.dataCount)
      this.#cachedBytes += tables.bytes.length
    } else {
      this.#rebuildTables.delete(pattern)
    }
    this.#rebuildTables.set(pattern, tables)
    for (const [oldest, { bytes }] of this.#rebuildTables) {
      if (this.#cachedBytes <= PLAN_CACHE_BYTES_MAX && this.#rebuildTables.size <= PLAN_CACHE_COUNT_MAX) break
      this.#rebuildTables.delete(oldest)
      this.#cachedBytes -= bytes.length
    }
    return tables
  }

  /** Loss patterns held now, for tests of the bound. */
  get cachedPatternCount(): number {
    return this.#rebuildTables.size
  }

  #indexSet(indices: readonly number[]): Set<number> {
    const set = new Set<number>()
    for (const index of indices) {
      if (!Number.isInteger(index) || index < 0 || index >= this.fragmentCount || set.has(index)) {
        throw new ErasureError('BAD_INDEX', { index, fragmentCount: this.fragmentCount })
      }
      set.add(index)
    }
    return set
  }
}
