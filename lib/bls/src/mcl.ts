import assert from 'node:assert/strict'
import createModule from 'mcl-wasm/dist/mcl_c.js'

// We take the module below mcl-wasm's classes: a private instance, whose curve and switches nobody else in the process can
// change, and whose functions work on addresses, so that a chain of operations does not copy at every step.

type Address = number

/** Functions of mcl (include/mcl/bn.h) that we use. Points are Jacobian, in Montgomery form, little-endian. */
interface MclModule {
  readonly wasmMemory: { readonly buffer: ArrayBuffer }
  _malloc(bytes: number): Address
  _mclBn_init(curve: number, compiledTimeVariable: number): number
  _mclBn_setETHserialization(on: number): void
  _mclBn_setMapToMode(mode: number): number
  _mclBn_verifyOrderG1(on: number): void
  _mclBn_verifyOrderG2(on: number): void
  _mclBnFr_setLittleEndian(out: Address, bytes: Address, length: number): number
  _mclBnG1_hashAndMapToWithDst(out: Address, message: Address, length: number, dst: Address, dstLength: number): number
  _mclBnG1_deserialize(out: Address, bytes: Address, length: number): number
  _mclBnG1_serialize(out: Address, capacity: number, point: Address): number
  _mclBnG1_isValidOrder(point: Address): number
  _mclBnG1_isZero(point: Address): number
  _mclBnG1_normalize(out: Address, point: Address): void
  _mclBnG1_neg(out: Address, point: Address): void
  _mclBnG1_add(out: Address, a: Address, b: Address): void
  _mclBnG1_mul(out: Address, point: Address, scalar: Address): void
  _mclBnG1_mulCT(out: Address, point: Address, scalar: Address): void
  _mclBnG1_mulVec(out: Address, points: Address, scalars: Address, count: number): void
  _mclBnG2_deserialize(out: Address, bytes: Address, length: number): number
  _mclBnG2_serialize(out: Address, capacity: number, point: Address): number
  _mclBnG2_isValidOrder(point: Address): number
  _mclBnG2_isZero(point: Address): number
  _mclBnG2_normalize(out: Address, point: Address): void
  _mclBnG2_neg(out: Address, point: Address): void
  _mclBnG2_add(out: Address, a: Address, b: Address): void
  _mclBnG2_mul(out: Address, point: Address, scalar: Address): void
  _mclBnG2_mulCT(out: Address, point: Address, scalar: Address): void
  _mclBn_millerLoopVec(out: Address, g1: Address, g2: Address, count: number): void
  _mclBn_finalExp(out: Address, value: Address): void
  _mclBnGT_isOne(value: Address): number
}

/** Sizes in mcl's memory. */
export const MCL_G1_BYTES = 144
export const MCL_G2_BYTES = 288
const MCL_GT_BYTES = 576
/** BLS12-381, and the numbers of limbs the module was built with (6 of Fp, 4 of Fr: 4 · 10 + 6). */
const CURVE_BLS12_381 = 5
const COMPILED_TIME_VARIABLE = 46
/** RFC 9380. */
const MAP_MODE_IRTF = 5

/** Most pairs of one pairing product. */
export const PAIRING_COUNT_MAX = 256
/** Longest message and domain that are hashed inside mcl; longer ones are refused by the callers. */
export const INPUT_BYTES_MAX = 4096

export const mcl = (await createModule({ cryptoGetRandomValues: refuseRandomness })) as MclModule

/** Keys and challenges are arguments here: nothing may draw randomness behind our back. */
function refuseRandomness(): never {
  throw new Error('mcl asked for randomness')
}

assert.equal(mcl._mclBn_init(CURVE_BLS12_381, COMPILED_TIME_VARIABLE), 0)
mcl._mclBn_setETHserialization(1)
assert.equal(mcl._mclBn_setMapToMode(MAP_MODE_IRTF), 0)
// We ask for membership by ourselves, to tell a point off the curve from one outside the subgroup.
mcl._mclBn_verifyOrderG1(0)
mcl._mclBn_verifyOrderG2(0)

function allocate(bytes: number): Address {
  const address = mcl._malloc(bytes)
  assert.notEqual(address, 0)
  return address
}

/** Places for operands and results, allocated once; every function here reads its result before it returns. */
export const place = {
  g1: [allocate(MCL_G1_BYTES), allocate(MCL_G1_BYTES)] as const,
  g2: [allocate(MCL_G2_BYTES), allocate(MCL_G2_BYTES)] as const,
  g1List: allocate(PAIRING_COUNT_MAX * MCL_G1_BYTES),
  g2List: allocate(PAIRING_COUNT_MAX * MCL_G2_BYTES),
  gt: allocate(MCL_GT_BYTES),
  scalar: allocate(32),
  input: allocate(INPUT_BYTES_MAX),
  domain: allocate(256),
} as const

let bytes = new Uint8Array(mcl.wasmMemory.buffer)

/** mcl's memory. Do not keep it: the module may grow, which detaches the view. */
export function mclMemory(): Uint8Array {
  if (bytes.length === 0) bytes = new Uint8Array(mcl.wasmMemory.buffer)
  return bytes
}

/** Puts a scalar in [0, r) where `place.scalar` is. */
export function placeScalar(value: bigint): Address {
  const memory = mclMemory()
  for (let i = 0; i < 32; i += 8) {
    let word = BigInt.asUintN(64, value >> BigInt(8 * i))
    for (let j = 0; j < 8; j++, word >>= 8n) memory[place.input + i + j] = Number(word & 0xffn)
  }
  assert.equal(mcl._mclBnFr_setLittleEndian(place.scalar, place.input, 32), 0)
  return place.scalar
}
