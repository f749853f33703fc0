import { createRequire } from 'node:module'
import { parentPort, workerData } from 'node:worker_threads'

/** What the thread is told. */
export interface CompilerJob {
  /** Standard JSON. */
  readonly input: string
  readonly memoryBytesMax: number
}

/** Its answer: standard JSON, or nothing if there was not enough memory. */
export interface CompilerAnswer {
  readonly output: string | undefined
}

/** The part of WebAssembly.Memory that we need; Node's types have none of it. */
interface WasmMemory {
  readonly buffer: ArrayBuffer
  grow(pages: number): number
}

const PAGE_BYTES = 65_536

/**
 * Compiles one standard JSON input and ends. The compiler takes seconds and hundreds of megabytes, which go back to the
 * system with the thread; it is given no way to read files. A thread's own limits do not bind the memory of WebAssembly,
 * where the compiler keeps everything, so we ask ourselves at each growth.
 */
const { input, memoryBytesMax } = workerData as CompilerJob
const { Memory } = (globalThis as unknown as { WebAssembly: { Memory: { prototype: WasmMemory } } }).WebAssembly
const { grow } = Memory.prototype
let isOut = false
Memory.prototype.grow = function (pages) {
  isOut ||= this.buffer.byteLength + pages * PAGE_BYTES > memoryBytesMax
  if (isOut) throw new RangeError('the compiler wants more memory than it is given')
  return grow.call(this, pages)
}
const solc = createRequire(import.meta.url)('solc') as { compile(input: string): string }
let output: string | undefined
try {
  output = solc.compile(input)
} catch (error) {
  if (!isOut) throw error
}
parentPort!.postMessage({ output: isOut ? undefined : output } satisfies CompilerAnswer)
