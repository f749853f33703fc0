import { createRequire } from 'node:module'
import { keccak256 } from '@cumulus/hash'
import secp256k1 from 'secp256k1'

/** ECDSA over secp256k1 as Ethereum uses it: recoverable, low s, Keccak-256 addresses (yellow paper, appendix F). */

const require = createRequire(import.meta.url)

/**
 * Which implementation answers: the native addon, or portable JavaScript, 30 times slower, where no prebuilt addon
 * exists. The package chooses silently, so ask.
 */
export const secp256k1Backend: 'native' | 'javascript' = nativeLoads() ? 'native' : 'javascript'

function nativeLoads(): boolean {
  try {
    return require('secp256k1').ecdsaRecover === require('secp256k1/bindings.js').ecdsaRecover
  } catch {
    return false
  }
}

/** Uncompressed public key without its 0x04 prefix, 64 bytes. */
export function secp256k1PublicKey(privateKey: Uint8Array): Uint8Array {
  return secp256k1.publicKeyCreate(privateKey, false).slice(1)
}

/** 20-byte address of a 64-byte public key. */
export function secp256k1Address(publicKey: Uint8Array): Uint8Array {
  return keccak256(publicKey).slice(12)
}

/** Signature r ‖ s (64 bytes) of a 32-byte hash, with the recovery bit 0 or 1. */
export function signSecp256k1(hash: Uint8Array, privateKey: Uint8Array): { signature: Uint8Array; recovery: number } {
  const { signature, recid } = secp256k1.ecdsaSign(hash, privateKey)
  return { signature, recovery: recid }
}

/**
 * 64-byte public key that signed `hash`, or undefined if there is none.
 *
 * @param signature r ‖ s, 64 bytes
 * @param recovery 0 or 1
 */
export function recoverSecp256k1(signature: Uint8Array, recovery: number, hash: Uint8Array): Uint8Array | undefined {
  try {
    return secp256k1.ecdsaRecover(signature, recovery, hash, false).slice(1)
  } catch {
    return undefined
  }
}
