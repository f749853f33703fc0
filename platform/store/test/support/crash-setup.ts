import type { SlabStoreInit } from '../../src/index.ts'
import { seededBytes } from './fragments.ts'

/** What the process that is killed and the one that looks agree on. */
export const crashStore: SlabStoreInit = {
  units: 3000,
  unitBytes: 65_536,
  indexBytes: 2 ** 25,
  keepFreeBytes: 0,
  slabBytesMax: 2 ** 25,
}

export const logContext = { territory: 1n, note: new Uint8Array([9]) }

export function logIdOf(log: number): Uint8Array {
  return new Uint8Array(32).fill(log)
}

const sources = new Map<number, Uint8Array>()

/** What the log must be a beginning of. */
export function logSource(log: number): Uint8Array {
  let source = sources.get(log)
  if (!source) sources.set(log, (source = seededBytes(log + 5_000_000, 6_000_000)))
  return source
}
