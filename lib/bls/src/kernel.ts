import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { BlsError } from './bls-error.ts'
import { FP_ORDER } from './encoding.ts'
import { WASM_PAGE_BYTES, type WebAssemblyMemory, webAssembly } from './web-assembly.ts'

/** Functions of assembly/kernel.ts. */
interface KernelExports {
  fromMcl(points: number, coordinates: number, count: number): void
  toMcl(coordinates: number, point: number): void
  fromPlain(point: number, coordinates: number): void
  toPlain(coordinates: number, point: number): void
  isPointInfinite(point: number): number
  sumWorkBytes(count: number, bits: number, width: number, windowsAtOnce: number): number
  sum(
    out: number,
    points: number,
    scalars: number,
    scalarBytes: number,
    count: number,
    bits: number,
    width: number,
    windowsAtOnce: number,
    work: number,
  ): void
  mapToCurve(points: number, uniform: number, count: number, work: number): void
  compute(out: number, a: number, b: number, operation: number): void
}

/** Sizes in the kernel's memory. */
export const POINT_BYTES = 104
export const ELEMENT_BYTES = 52
/** Where the kernel's own part of memory ends (assembly/layout.ts). */
export const FREE_ADDRESS = 8192
/** Enough for 65,536 points with scalars of 256 bits. */
const MEMORY_PAGES_MAX = 1024

const LIMB_BITS = 30n
const LIMB_COUNT = 13
/** 2^390: elements are kept multiplied by it. */
const MONTGOMERY = 1n << (LIMB_BITS * BigInt(LIMB_COUNT))

/** Coefficients of the isogenous curve y² = x³ + A·x + B and of the map onto it: RFC 9380, 8.8.1 and E.2. */
export const MAP_A = 0x144698a3b8e9433d693a02c96d4982b0ea985383ee66a8d8e8981aefd881ac98936f8da0e0f97f5cf428082d584c1dn
export const MAP_B = 0x12e2908d11688030018b12e8753eee3b2016c1f0f24f4070a0b9c14fcef35ef55a23215a316ceaa5d1cc48e98e172be0n
export const MAP_Z = 11n

const CURVE_A_ADDRESS = 128

const memory: WebAssemblyMemory = new webAssembly.Memory({ initial: 4, maximum: MEMORY_PAGES_MAX })
export const kernel = new webAssembly.Instance(
  // The folder lies beside both `src` and `dist`.
  new webAssembly.Module(readFileSync(new URL('../wasm/kernel.wasm', import.meta.url))),
  { env: { memory } },
).exports as KernelExports

let bytes = new Uint8Array(memory.buffer)

/** The memory, with room up to `end`. Do not keep it over another call. @throws BlsError `BAD_COUNT` above the limit */
export function kernelMemory(end: number): Uint8Array<ArrayBuffer> {
  if (end > bytes.length) {
    const pages = Math.ceil(end / WASM_PAGE_BYTES)
    if (pages > MEMORY_PAGES_MAX) throw new BlsError('BAD_COUNT', `${end} bytes of points and scalars are too many`)
    memory.grow(pages - bytes.length / WASM_PAGE_BYTES)
    bytes = new Uint8Array(memory.buffer)
  }
  return bytes
}

/** Chooses the curve on which sums are taken. */
export function selectCurve(curve: 'G1' | 'isogenous'): void {
  writeElement(CURVE_A_ADDRESS, curve === 'G1' ? 0n : MAP_A * MONTGOMERY)
}

function writeElement(address: number, value: bigint): void {
  const words = new Uint32Array(memory.buffer, address, LIMB_COUNT)
  let rest = value % FP_ORDER
  for (let i = 0; i < LIMB_COUNT; i++, rest >>= LIMB_BITS) words[i] = Number(rest & ((1n << LIMB_BITS) - 1n))
}

/** Writes a number below 2^384 as 48 bytes, little-endian. */
export function writeNumber(target: Uint8Array, offset: number, value: bigint): void {
  const hex = value.toString(16).padStart(96, '0')
  target.set(Uint8Array.fromHex(hex).reverse(), offset)
}

/** The inverse of `writeNumber`. */
export function readNumber(source: Uint8Array, offset: number): bigint {
  return BigInt(
    `0x${source
      .slice(offset, offset + 48)
      .reverse()
      .toHex()}`,
  )
}

function powerModP(base: bigint, exponent: bigint): bigint {
  let result = 1n
  for (let [square, rest] = [base % FP_ORDER, exponent]; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % FP_ORDER
    square = (square * square) % FP_ORDER
  }
  return result
}

/** −Z is a square modulo p, and p = 3 modulo 4. */
const rootOfMinusZ = powerModP(FP_ORDER - MAP_Z, (FP_ORDER + 1n) / 4n)
assert.equal((rootOfMinusZ * rootOfMinusZ + MAP_Z) % FP_ORDER, 0n)

// Addresses as in assembly/layout.ts; 0 holds the element 0.
const constants: readonly (readonly [number, bigint])[] = [
  [64, MONTGOMERY],
  [192, 1n << 396n],
  [256, 1n << 384n],
  [320, MONTGOMERY * MONTGOMERY],
  [384, 1n],
  [448, MONTGOMERY << 256n],
  [512, MAP_A * MONTGOMERY],
  [576, MAP_B * MONTGOMERY],
  [640, MAP_Z * MONTGOMERY],
  [704, rootOfMinusZ * MONTGOMERY],
]
for (const [address, value] of constants) writeElement(address, value)
writeNumber(bytes, 768, FP_ORDER - 2n)
writeNumber(bytes, 832, (FP_ORDER - 3n) / 4n)
