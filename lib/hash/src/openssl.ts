import { createHmac, hash } from 'node:crypto'

/** SHA-256 (FIPS 180-4) by OpenSSL. */
export function sha256(data: Uint8Array): Uint8Array {
  return hash('sha256', data, 'buffer')
}

/** MD5 (RFC 1321). For ETags only: it protects nothing. */
export function md5(data: Uint8Array): Uint8Array {
  return hash('md5', data, 'buffer')
}

/** HMAC-SHA-256 (RFC 2104). */
export function hmacSha256(key: Uint8Array, data: Uint8Array | string): Uint8Array {
  return createHmac('sha256', key).update(data).digest()
}
