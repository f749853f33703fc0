import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { fftTables } from './additive-fft.ts'
import type { CodeShape } from './codec.ts'
import { TABLE_PAIR_BYTES, writeTablePair } from './field.ts'
import type { Matrix } from './matrix.ts'
import { WASM_PAGE_BYTES, webAssembly } from './web-assembly.ts'

/**
 * `relaxed` saves an instruction a look-up on x86 (1.2 to 1.5 × in cache); Node 20 refuses it and gets `simd`.
 * Both give the same bytes: our indices are 0..15, where the relaxed swizzle has only one permitted result.
 */
export type KernelBuild = 'simd' | 'relaxed'

/** Functions of assembly/kernel.ts; addresses and sizes in bytes. */
interface KernelExports {
  multiply(
    tables: number,
    inputs: number,
    inputCount: number,
    outputs: number,
    outputCount: number,
    fragmentBytes: number,
    tileBytes: number,
  ): void
  encodeFft(tables: number, inputs: number, outputs: number, fragmentBytes: number, tileBytes: number): void
}

/** The bytes of a shipped build. The folder lies beside both `src` and `dist`. */
export function readKernel(build: KernelBuild): Uint8Array {
  return readFileSync(new URL(`../wasm/kernel-${build}.wasm`, import.meta.url))
}

/** The quickest build this engine accepts. */
export function bestKernelBuild(): KernelBuild {
  return (best ??= webAssembly.validate(readKernel('relaxed')) ? 'relaxed' : 'simd')
}
let best: KernelBuild | undefined

/** Compiled once for each thread; instances share the code. */
function compiledKernel(build: KernelBuild): object {
  let module = modules.get(build)
  if (module === undefined) modules.set(build, (module = new webAssembly.Module(readKernel(build))))
  return module
}
const modules = new Map<KernelBuild, object>()

/** A matrix in the form the kernel reads: table pairs in the order of use. */
export interface ProductTables {
  readonly bytes: Uint8Array
  readonly inputCount: number
  readonly outputCount: number
}

/** Outputs are computed in groups of four, then what is left; see `multiply` in assembly/kernel.ts. */
export function productTables(matrix: Matrix, inputCount: number): ProductTables {
  const outputCount = matrix.length
  const bytes = new Uint8Array(outputCount * inputCount * TABLE_PAIR_BYTES)
  let offset = 0
  for (let first = 0; first < outputCount; ) {
    const groupCount = Math.min(4, outputCount - first)
    for (let input = 0; input < inputCount; input++) {
      for (let output = first; output < first + groupCount; output++) {
        writeTablePair(bytes, offset, matrix[output]![input]!)
        offset += TABLE_PAIR_BYTES
      }
    }
    first += groupCount
  }
  return { bytes, inputCount, outputCount }
}

/** Fragments are handed to the kernel in whole cache lines; slots are padded to them. */
export const LINE_BYTES = 64

/** Of O_DIRECT and of ordinary memory. */
export const MEMORY_PAGE_BYTES = 4096

export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple
}

/**
 * Of each fragment, what is worked on before the next tile: 32 KiB × 4 data fragments stay in an L2 cache of 512 KiB
 * or more. With 2 to 128 KiB the speed was the same within the noise.
 */
const TILE_BYTES = 32768
const TILE_TOTAL_BYTES = 262144

function tileBytes(inputCount: number): number {
  return Math.max(1024, Math.min(TILE_BYTES, roundUp(TILE_TOTAL_BYTES / inputCount, LINE_BYTES)))
}

/**
 * One WebAssembly instance over one memory of fixed size, so that views on it never detach.
 *
 *     0          sixteen bytes 0x0f, where the kernel expects them
 *     64         input addresses, output addresses (32 bits each, little-endian)
 *     …          tables of the additive FFT (224 B)
 *     …          product tables of the call at hand (at most 32 B × dataCount × parityCount)
 *     payload    fragments, the owner's business; page aligned
 */
export class Kernel {
  /** The whole memory. */
  readonly memory: Uint8Array<ArrayBuffer>
  /** First byte the owner may use. */
  readonly payloadOffset: number

  readonly #exports: KernelExports
  readonly #words: Uint32Array
  readonly #inputsOffset: number
  readonly #outputsOffset: number
  readonly #fftOffset: number
  readonly #tablesOffset: number
  /** Which tables lie in memory, so that encoding segment after segment does not copy them again. */
  #loaded: ProductTables | undefined

  constructor({ dataCount, parityCount }: CodeShape, payloadBytes: number, build: KernelBuild) {
    this.#inputsOffset = LINE_BYTES
    this.#outputsOffset = this.#inputsOffset + 4 * dataCount
    this.#fftOffset = roundUp(this.#outputsOffset + 4 * parityCount, LINE_BYTES)
    const fft = fftTables()
    this.#tablesOffset = roundUp(this.#fftOffset + fft.length, LINE_BYTES)
    const tablesEnd = this.#tablesOffset + dataCount * parityCount * TABLE_PAIR_BYTES
    this.payloadOffset = roundUp(tablesEnd, MEMORY_PAGE_BYTES)

    const pageCount = Math.ceil((this.payloadOffset + payloadBytes) / WASM_PAGE_BYTES)
    const memory = new webAssembly.Memory({ initial: pageCount, maximum: pageCount })
    this.#exports = new webAssembly.Instance(compiledKernel(build), { env: { memory } }).exports as KernelExports
    this.memory = new Uint8Array(memory.buffer)
    this.#words = new Uint32Array(memory.buffer, 0, this.payloadOffset >> 2)
    this.memory.fill(0x0f, 0, 16)
    this.memory.set(fft, this.#fftOffset)
  }

  /**
   * outputs = matrix × inputs.
   *
   * @param inputs,outputs addresses in the payload; each fragment has room for `fragmentBytes` rounded up to a whole line
   */
  multiply(tables: ProductTables, inputs: readonly number[], outputs: readonly number[], fragmentBytes: number): void {
    assert.equal(inputs.length, tables.inputCount)
    assert.equal(outputs.length, tables.outputCount)
    assert.ok(this.#tablesOffset + tables.bytes.length <= this.payloadOffset)
    if (this.#loaded !== tables) {
      this.memory.set(tables.bytes, this.#tablesOffset)
      this.#loaded = tables
    }
    this.#place(inputs, outputs, fragmentBytes)
    this.#exports.multiply(
      this.#tablesOffset,
      this.#inputsOffset,
      inputs.length,
      this.#outputsOffset,
      outputs.length,
      roundUp(fragmentBytes, LINE_BYTES),
      tileBytes(inputs.length),
    )
  }

  /** The eight parity fragments of four data fragments; addresses as in `multiply`. */
  encodeFft(inputs: readonly number[], outputs: readonly number[], fragmentBytes: number): void {
    assert.equal(inputs.length, 4)
    assert.equal(outputs.length, 8)
    this.#place(inputs, outputs, fragmentBytes)
    this.#exports.encodeFft(
      this.#fftOffset,
      this.#inputsOffset,
      this.#outputsOffset,
      roundUp(fragmentBytes, LINE_BYTES),
      tileBytes(inputs.length),
    )
  }

  /** The kernel writes wherever it is told: a wrong address would overwrite another fragment in silence. */
  #place(inputs: readonly number[], outputs: readonly number[], fragmentBytes: number): void {
    const addressMax = this.memory.length - roundUp(fragmentBytes, LINE_BYTES)
    for (const [list, offset] of [[inputs, this.#inputsOffset] as const, [outputs, this.#outputsOffset] as const]) {
      list.forEach((address, i) => {
        assert.ok(address >= this.payloadOffset && address <= addressMax, `address ${address} is outside the payload`)
        this.#words[(offset >> 2) + i] = address
      })
    }
  }
}
