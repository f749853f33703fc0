import { bls12_381 } from '@noble/curves/bls12-381.js'
import type { G1, G2 } from '../src/index.ts'

// The oracle: noble-curves, an independent implementation in plain TypeScript. It neither reads nor writes infinity.

export const oracle = bls12_381
export const OracleG1 = bls12_381.G1.Point
export const OracleG2 = bls12_381.G2.Point

export function oraclePoint(point: G1) {
  return point.isZero() ? OracleG1.ZERO : OracleG1.fromBytes(point.toBytes())
}

export function oraclePointG2(point: G2) {
  return point.isZero() ? OracleG2.ZERO : OracleG2.fromBytes(point.toBytes())
}

/** The compressed form, for infinity as the specification of ZCash has it. */
export function oracleBytes(point: { is0(): boolean; toBytes(): Uint8Array }, length: 48 | 96): Uint8Array {
  if (!point.is0()) return new Uint8Array(point.toBytes())
  const bytes = new Uint8Array(length)
  bytes[0] = 0xc0
  return bytes
}
