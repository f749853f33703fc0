export { blake3, blake3Backend, HASH_BYTES } from './blake3.ts'
export { keccak256 } from './keccak256.ts'
export { hmacSha256, md5, sha256 } from './openssl.ts'
