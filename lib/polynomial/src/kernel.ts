import { readFileSync } from 'node:fs'
import { FR_ORDER } from '@cumulus/bls'
import { WASM_PAGE_BYTES, webAssembly } from './web-assembly.ts'

/** Functions of assembly/kernel.ts. */
interface KernelExports {
  dotOne(data: number, rows: number, table: number, sums: number): void
  dotFour(data: number, chunkBytes: number, table: number, sums: number): void
  addChunk(value: number, factor: number, sums: number): void
  accumulate(columns: number, sectors: number, count: number, coefficient: number): void
  reduceColumns(elements: number, columns: number, count: number, correction: number): void
  divide(quotient: number, value: number, elements: number, count: number, z: number): void
  writePlain(out: number, element: number): void
}

/** An element of the field in the kernel: 9 limbs of 29 bits in words of 32, multiplied by 2^261. */
export const ELEMENT_BYTES = 36
const LIMB_BITS = 29n
const LIMB_COUNT = 9
const MONTGOMERY = 1n << (LIMB_BITS * BigInt(LIMB_COUNT))

/** Where the caller's part of memory begins. */
export const FREE_ADDRESS = 512

/** Compiled once for each thread. */
let compiled: object | undefined

/** One instance over one memory of fixed size: views on it never detach. */
export class Kernel {
  readonly functions: KernelExports
  readonly bytes: Uint8Array<ArrayBuffer>

  /** @param byteCount of the caller, from `FREE_ADDRESS` on */
  constructor(byteCount: number) {
    const pages = Math.ceil((FREE_ADDRESS + byteCount) / WASM_PAGE_BYTES)
    const memory = new webAssembly.Memory({ initial: pages, maximum: pages })
    // The folder lies beside both `src` and `dist`.
    compiled ??= new webAssembly.Module(readFileSync(new URL('../wasm/kernel.wasm', import.meta.url)))
    this.functions = new webAssembly.Instance(compiled, { env: { memory } }).exports as KernelExports
    this.bytes = new Uint8Array(memory.buffer)
    // Addresses as in assembly/kernel.ts: R², R³, 1, −2^296.
    this.#writePlain(64, MONTGOMERY * MONTGOMERY)
    this.#writePlain(128, MONTGOMERY * MONTGOMERY * MONTGOMERY)
    this.#writePlain(192, 1n)
    this.writeElement(256, -(1n << 296n))
  }

  /** Writes a residue, in the kernel's form. */
  writeElement(address: number, value: bigint): void {
    this.#writePlain(address, value * MONTGOMERY)
  }

  /** Reads a residue written by the kernel in its own form. */
  readElement(address: number, scratch: number): bigint {
    this.functions.writePlain(scratch, address)
    return this.readPlain(scratch)
  }

  /** Reads 32 bytes, little-endian. */
  readPlain(address: number): bigint {
    return BigInt(
      `0x${this.bytes
        .slice(address, address + 32)
        .reverse()
        .toHex()}`,
    )
  }

  #writePlain(address: number, value: bigint): void {
    const words = new Uint32Array(this.bytes.buffer, address, LIMB_COUNT)
    let rest = value % FR_ORDER
    if (rest < 0n) rest += FR_ORDER
    for (let i = 0; i < LIMB_COUNT; i++, rest >>= LIMB_BITS) words[i] = Number(rest & ((1n << LIMB_BITS) - 1n))
  }
}
