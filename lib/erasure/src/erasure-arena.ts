import type { ErasureCode } from './erasure-code.ts'
import { ErasureError } from './erasure-error.ts'
import { Kernel, LINE_BYTES, MEMORY_PAGE_BYTES, roundUp } from './kernel.ts'
import { WASM_MEMORY_BYTES_MAX } from './web-assembly.ts'

/** Of the 4 GiB an arena may have, what the kernel keeps for its tables at most (128 + 128 fragments: 0.5 MiB). */
const CONTROL_BYTES_MAX = 2 ** 20

/**
 * Room for all fragments of one segment in WebAssembly memory: write data where the kernel reads it, send parity from
 * where the kernel wrote it, and no byte is copied.
 *
 * The memory is fixed at creation: views never detach, and stay valid as long as the arena is referenced. It is about
 * `fragmentCount` × `fragmentBytesMax` (each rounded up to 4096), touched only as it is used. An arena belongs to one
 * thread and is meant to be reused, segment after segment.
 *
 *     payload     d0 d1 .. dk−1           data, end to end at the fragment length rounded up to 64
 *                 p0 .. pm−1              parity, each on a page (4096), so that O_DIRECT can write it
 *
 * Data fragments lie end to end so that one cipher call can write the whole segment into `data`; with a length that
 * is a multiple of 4096 they are page aligned too.
 *
 * ```ts
 * const arena = new ErasureArena(code, 8 * 2 ** 20)
 * encryptInto(arena.data)                          // 32 MiB in one run
 * arena.encode()
 * for (let i = 0; i < 12; i++) send(arena.fragment(i))
 * ```
 */
export class ErasureArena {
  readonly code: ErasureCode
  /** Capacity of each fragment; a multiple of 4096. */
  readonly fragmentBytesMax: number

  readonly #kernel: Kernel
  #fragmentBytes = 0
  #addresses: readonly number[] = []
  #views: readonly Uint8Array<ArrayBuffer>[] = []
  #data!: Uint8Array<ArrayBuffer>

  /**
   * Laid out for `fragmentBytesMax`.
   *
   * @throws ErasureError `BAD_LENGTH` if all fragments together exceed 4 GiB
   * @throws RangeError if the engine cannot give the memory
   */
  constructor(code: ErasureCode, fragmentBytesMax: number) {
    this.code = code
    this.fragmentBytesMax = roundUp(fragmentBytesMax, MEMORY_PAGE_BYTES)
    const payloadBytes = code.fragmentCount * this.fragmentBytesMax
    if (!isLength(fragmentBytesMax) || payloadBytes > WASM_MEMORY_BYTES_MAX - CONTROL_BYTES_MAX) {
      throw new ErasureError('BAD_LENGTH', { fragmentBytesMax, fragmentCount: code.fragmentCount })
    }
    this.#kernel = new Kernel(code, payloadBytes, code.kernelBuild)
    this.layOut(fragmentBytesMax)
  }

  /** Length of a fragment in the present layout. */
  get fragmentBytes(): number {
    return this.#fragmentBytes
  }

  /**
   * Places the fragments for another length. Views taken before stay valid but show the bytes of the old places; the
   * contents of all fragments are to be written anew. Free where the length is already this one.
   *
   * @throws ErasureError `BAD_LENGTH` beyond the capacity
   */
  layOut(fragmentBytes: number): void {
    if (!isLength(fragmentBytes) || fragmentBytes > this.fragmentBytesMax) {
      throw new ErasureError('BAD_LENGTH', { fragmentBytes, fragmentBytesMax: this.fragmentBytesMax })
    }
    if (fragmentBytes === this.#fragmentBytes && this.#views.length > 0) return
    const { dataCount, fragmentCount } = this.code
    const { memory, payloadOffset } = this.#kernel
    const dataStride = roundUp(fragmentBytes, LINE_BYTES)
    const parityOffset = payloadOffset + roundUp(dataCount * dataStride, MEMORY_PAGE_BYTES)
    const parityStride = roundUp(fragmentBytes, MEMORY_PAGE_BYTES)
    this.#fragmentBytes = fragmentBytes
    this.#addresses = Array.from({ length: fragmentCount }, (_, i) =>
      i < dataCount ? payloadOffset + i * dataStride : parityOffset + (i - dataCount) * parityStride,
    )
    this.#views = this.#addresses.map((address) => memory.subarray(address, address + fragmentBytes))
    this.#data = memory.subarray(payloadOffset, payloadOffset + dataCount * dataStride)
  }

  /**
   * All data fragments as one run: the segment itself. Where the length is no multiple of 64, each fragment is followed
   * by a gap up to the next one, so write by `fragment` then.
   */
  get data(): Uint8Array<ArrayBuffer> {
    return this.#data
  }

  /**
   * The i-th fragment, data first: a view, the same object each time.
   *
   * @throws ErasureError `BAD_INDEX`
   */
  fragment(index: number): Uint8Array<ArrayBuffer> {
    const view = this.#views[index]
    if (view === undefined) throw new ErasureError('BAD_INDEX', { index, fragmentCount: this.code.fragmentCount })
    return view
  }

  /**
   * Fills parity from data, in place.
   *
   * @param fragmentBytes only the first so many bytes of each fragment (up to 63 more are written after them, never
   *   past the fragment's place); all of the layout's unless given
   * @throws ErasureError `BAD_LENGTH` beyond the layout
   */
  encode(fragmentBytes: number = this.#fragmentBytes): void {
    this.#checkLength(fragmentBytes)
    const { dataCount, plans } = this.code
    plans.encode(this.#kernel, this.#addresses.slice(0, dataCount), this.#addresses.slice(dataCount), fragmentBytes)
  }

  /**
   * Fills the fragments `wanted` from those `present`, in place; those in both lists are left alone. Present fragments are
   * trusted: verify their hashes first.
   *
   * @param fragmentBytes as in `encode`
   * @throws ErasureError `BAD_INDEX`, `TOO_FEW_FRAGMENTS`, `BAD_LENGTH`
   */
  rebuild(present: readonly number[], wanted: readonly number[], fragmentBytes: number = this.#fragmentBytes): void {
    this.#checkLength(fragmentBytes)
    const { plans } = this.code
    const task = plans.task(present, wanted)
    if (task.missing.length === 0 || fragmentBytes === 0) return
    const addressOf = (index: number) => this.#addresses[index]!
    this.#kernel.multiply(
      plans.rebuildTables(task),
      task.used.map(addressOf),
      task.missing.map(addressOf),
      fragmentBytes,
    )
  }

  #checkLength(fragmentBytes: number): void {
    if (!isLength(fragmentBytes) || fragmentBytes > this.#fragmentBytes) {
      throw new ErasureError('BAD_LENGTH', { fragmentBytes, layoutBytes: this.#fragmentBytes })
    }
  }
}

function isLength(value: number): boolean {
  return Number.isInteger(value) && value >= 0
}
