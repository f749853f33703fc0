import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto'
import { utf8Encode } from '@cumulus/bytes'

/**
 * Everything secret of an owner comes from one secret, the private key of its chain account, by HKDF-SHA-256
 * (RFC 5869) with a label each: who has the account key can restore all of it, and the gateway, which holds only what
 * is derived, can neither spend nor grant.
 */
export interface OwnerKeys {
  /** 32 bytes: wraps the keys of objects and encrypts journals. */
  readonly dataKey: Uint8Array
  /** S3 access key id: 20 characters of A-Z, 2-7. */
  readonly accessKey: string
  /** S3 secret access key: 40 characters. */
  readonly secretKey: string
}

/** @param privateKey 32 bytes, of the owner's chain account */
export function deriveOwnerKeys(privateKey: Uint8Array): OwnerKeys {
  if (privateKey.length !== 32) throw new RangeError(`a private key has 32 bytes, not ${privateKey.length}`)
  return {
    dataKey: expand(privateKey, 'cumulus/owner/data-key/1', 32),
    accessKey: `CU${base32(expand(privateKey, 'cumulus/owner/access-key/1', 18))}`,
    secretKey: Buffer.from(expand(privateKey, 'cumulus/owner/secret-key/1', 30)).toString('base64url'),
  }
}

/** The two keys that the data key stands for. */
export interface DataKeys {
  /** AES-256 key-wrap key for the keys of objects and parts. */
  readonly wrapKey: Uint8Array
  /** From it each pack has its own key for journal records. */
  readonly journalKey: Uint8Array
}

export function deriveDataKeys(dataKey: Uint8Array): DataKeys {
  return {
    wrapKey: expand(dataKey, 'cumulus/data/wrap/1', 32),
    journalKey: expand(dataKey, 'cumulus/data/journal/1', 32),
  }
}

/** @param salt 16 random bytes of the pack */
export function packJournalKey(journalKey: Uint8Array, salt: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', journalKey, salt, utf8Encode('cumulus/pack/journal/1'), 32))
}

/** Length of a wrapped 256-bit key. */
export const WRAPPED_KEY_BYTES = 40

// AES key wrap (RFC 3394) needs no nonce and authenticates: 40 bytes for 32. The constant is its default initial value.
const WRAP_ALGORITHM = 'id-aes256-wrap'
const WRAP_IV = Buffer.from('a6a6a6a6a6a6a6a6', 'hex')

export function wrapKey(wrappingKey: Uint8Array, key: Uint8Array): Uint8Array {
  const cipher = createCipheriv(WRAP_ALGORITHM, wrappingKey, WRAP_IV)
  return new Uint8Array(Buffer.concat([cipher.update(key), cipher.final()]))
}

/** @throws Error if it was not wrapped by this key or is damaged */
export function unwrapKey(wrappingKey: Uint8Array, wrapped: Uint8Array): Uint8Array {
  const decipher = createDecipheriv(WRAP_ALGORITHM, wrappingKey, WRAP_IV)
  return new Uint8Array(Buffer.concat([decipher.update(wrapped), decipher.final()]))
}

function expand(secret: Uint8Array, label: string, length: number): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(0), utf8Encode(label), length))
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** One character for each byte: 256 is a multiple of 32, so all are equally likely. */
function base32(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => ALPHABET[byte & 31]).join('')
}
