import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { concatBytes } from '@cumulus/bytes'

/** Ed25519 (RFC 8032) by OpenSSL. Signing is deterministic. */

export const ED25519_PUBLIC_KEY_BYTES = 32
export const ED25519_SIGNATURE_BYTES = 64

// DER wrapping of the raw 32 bytes (RFC 8410): OpenSSL takes nothing shorter.
const PKCS8_PREFIX = Uint8Array.fromHex('302e020100300506032b657004220420')
const SPKI_PREFIX = Uint8Array.fromHex('302a300506032b6570032100')

export class Ed25519Key {
  readonly publicKey: Uint8Array
  readonly #key: KeyObject

  /** @param seed 32 secret bytes (RFC 8032 section 5.1.5) */
  constructor(seed: Uint8Array) {
    if (seed.length !== 32) throw new RangeError(`an Ed25519 seed has 32 bytes, not ${seed.length}`)
    this.#key = createPrivateKey({ key: Buffer.from(concatBytes(PKCS8_PREFIX, seed)), format: 'der', type: 'pkcs8' })
    this.publicKey = new Uint8Array(createPublicKey(this.#key).export({ format: 'der', type: 'spki' })).slice(-32)
  }

  /** 64-byte signature of `message`. */
  sign(message: Uint8Array): Uint8Array {
    return sign(null, message, this.#key)
  }
}

/** Parsing a key costs OpenSSL as much as the check, and peers are few: the last used are kept. */
const KEY_CACHE_COUNT = 1024
const keys = new Map<string, KeyObject>()

/** Whether `signature` is `publicKey`'s for `message`. Malformed keys and signatures are false, never an error. */
export function verifyEd25519(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  if (signature.length !== ED25519_SIGNATURE_BYTES || publicKey.length !== ED25519_PUBLIC_KEY_BYTES) return false
  try {
    return verify(null, message, keyObject(publicKey), signature)
  } catch {
    return false
  }
}

function keyObject(publicKey: Uint8Array): KeyObject {
  const id = publicKey.toHex()
  let key = keys.get(id)
  if (!key) {
    key = createPublicKey({ key: Buffer.from(concatBytes(SPKI_PREFIX, publicKey)), format: 'der', type: 'spki' })
    if (keys.size >= KEY_CACHE_COUNT) keys.delete(keys.keys().next().value!)
    keys.set(id, key)
  }
  return key
}
