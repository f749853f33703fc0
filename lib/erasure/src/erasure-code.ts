import { CODEC_VANDERMONDE, type Codec, type CodeShape } from './codec.ts'
import { ErasureError } from './erasure-error.ts'
import { bestKernelBuild, Kernel, type KernelBuild, LINE_BYTES, roundUp } from './kernel.ts'
import { Plans } from './plans.ts'

/** How a code is made. */
export interface ErasureCodeInit extends CodeShape {
  /** The quickest the engine accepts, unless given; for tests and benchmarks. */
  kernelBuild?: KernelBuild
}

/** Slots of all fragments together, so that a tile stays in an L2 cache of 512 KiB. */
const STAGE_BYTES = 393216
const SLOT_BYTES_MIN = 1024
const SLOT_BYTES_MAX = 32768

/**
 * A systematic Reed-Solomon code: `dataCount` fragments of data, `parityCount` of parity, and any `dataCount` of them give
 * back all others.
 *
 * Works on any `Uint8Array`s, by copying tile after tile through a small WebAssembly memory of its own (at most 0.5 MiB,
 * up to 1 MiB for very wide codes, made at the first use). Where fragments can live in WebAssembly memory from the
 * start, `ErasureArena` saves the copies. Make one and keep it: each holds a memory and a cache of loss patterns.
 *
 * ```ts
 * const code = ErasureCode.create({ dataCount: 4, parityCount: 8 })
 * code.encode(data, parity)
 * const fragments = [...data, ...parity].map((fragment, i) => (i % 3 === 2 ? fragment : undefined)) // 2, 5, 8, 11 left
 * const [first, second] = code.rebuild(fragments, [0, 1])
 * ```
 */
export class ErasureCode {
  readonly dataCount: number
  readonly parityCount: number
  readonly codec: Codec
  readonly kernelBuild: KernelBuild
  /** @internal Shared with the arenas of this code. */
  readonly plans: Plans
  /** Bytes of each fragment worked on at a time. */
  readonly #slotBytes: number
  #stage: Kernel | undefined

  private constructor(init: ErasureCodeInit) {
    this.plans = new Plans(init)
    this.dataCount = init.dataCount
    this.parityCount = init.parityCount
    this.codec = init.codec ?? CODEC_VANDERMONDE
    this.kernelBuild = init.kernelBuild ?? bestKernelBuild()
    const share = roundUp(STAGE_BYTES / this.fragmentCount, LINE_BYTES)
    this.#slotBytes = Math.max(SLOT_BYTES_MIN, Math.min(SLOT_BYTES_MAX, share))
  }

  /** @throws ErasureError `BAD_SHAPE` */
  static create(init: ErasureCodeInit): ErasureCode {
    return new ErasureCode(init)
  }

  /** Data and parity together. */
  get fragmentCount(): number {
    return this.dataCount + this.parityCount
  }

  /**
   * Fills `parity` from `data`; all of one length, which may be any. Nothing is written unless all arguments are right.
   * A parity fragment may not share bytes with a data fragment.
   *
   * @throws ErasureError `WRONG_COUNT`, `UNEQUAL_LENGTHS`
   */
  encode(data: readonly Uint8Array[], parity: readonly Uint8Array[]): void {
    checkCount(data.length, this.dataCount)
    checkCount(parity.length, this.parityCount)
    const fragmentBytes = commonLength([...data, ...parity])
    this.#run(data, parity, fragmentBytes, (kernel, inputs, outputs, byteCount) => {
      this.plans.encode(kernel, inputs, outputs, byteCount)
    })
  }

  /**
   * The fragments at the indices `wanted`, in that order. One that is present is handed back as it is, not copied; the
   * others are new. The first `dataCount` present ones are trusted: check them against their hashes first, since a
   * wrong fragment makes wrong ones.
   *
   * @param fragments `fragmentCount` places, `undefined` where a fragment is missing
   * @throws ErasureError `WRONG_COUNT`, `UNEQUAL_LENGTHS`, `BAD_INDEX`, `TOO_FEW_FRAGMENTS`
   */
  rebuild(fragments: readonly (Uint8Array | undefined)[], wanted: readonly number[]): Uint8Array[] {
    checkCount(fragments.length, this.fragmentCount)
    // Not flatMap: it would skip the holes of a sparse array without telling.
    const present: number[] = []
    for (let index = 0; index < fragments.length; index++) if (fragments[index] !== undefined) present.push(index)
    const task = this.plans.task(present, wanted)
    const fragmentBytes = commonLength(present.map((index) => fragments[index]!))
    const rebuilt = new Map(task.missing.map((index) => [index, new Uint8Array(fragmentBytes)]))
    if (rebuilt.size > 0 && fragmentBytes > 0) {
      const tables = this.plans.rebuildTables(task)
      const sources = task.used.map((index) => fragments[index]!)
      this.#run(sources, [...rebuilt.values()], fragmentBytes, (kernel, inputs, outputs, byteCount) => {
        kernel.multiply(tables, inputs, outputs, byteCount)
      })
    }
    return wanted.map((index) => fragments[index] ?? rebuilt.get(index)!)
  }

  /** Copies a tile of each input in, lets `work` run, copies a tile of each output out, until all is done. */
  #run(
    inputs: readonly Uint8Array[],
    outputs: readonly Uint8Array[],
    fragmentBytes: number,
    work: (kernel: Kernel, inputs: readonly number[], outputs: readonly number[], byteCount: number) => void,
  ): void {
    // A line between slots: at a distance of a power of two they would all compete for the same few cache lines.
    const strideBytes = this.#slotBytes + LINE_BYTES
    const kernel = (this.#stage ??= new Kernel(this, this.fragmentCount * strideBytes, this.kernelBuild))
    const { memory, payloadOffset } = kernel
    const inputAddresses = inputs.map((_, i) => payloadOffset + i * strideBytes)
    const outputAddresses = outputs.map((_, i) => payloadOffset + (inputs.length + i) * strideBytes)
    for (let start = 0; start < fragmentBytes; start += this.#slotBytes) {
      const end = Math.min(start + this.#slotBytes, fragmentBytes)
      inputs.forEach((input, i) => {
        memory.set(input.subarray(start, end), inputAddresses[i]!)
      })
      work(kernel, inputAddresses, outputAddresses, end - start)
      outputs.forEach((output, i) => {
        const address = outputAddresses[i]!
        output.set(memory.subarray(address, address + end - start), start)
      })
    }
  }
}

function checkCount(given: number, expected: number): void {
  if (given !== expected) throw new ErasureError('WRONG_COUNT', { given, expected })
}

function commonLength(fragments: readonly Uint8Array[]): number {
  const expected = fragments[0]!.length
  for (const { length } of fragments) {
    if (length !== expected) throw new ErasureError('UNEQUAL_LENGTHS', { length, expected })
  }
  return expected
}
