import { createKeccak } from 'hash-wasm'

const hasher = await createKeccak(256)

/** Keccak-256 as Ethereum uses it (before the padding of SHA-3). One synchronous WebAssembly instance, re-used. */
export function keccak256(data: Uint8Array): Uint8Array {
  return hasher.init().update(data).digest('binary')
}
