import { DecodeError } from './byte-reader.ts'

/** `0x`-prefixed lower-case hex, as Ethereum writes bytes. */
export function bytesToHex(bytes: Uint8Array): `0x${string}` {
  return `0x${bytes.toHex()}`
}

/** Lower-case hex without a prefix, as hashes stand in file names and logs. */
export function bytesToPlainHex(bytes: Uint8Array): string {
  return bytes.toHex()
}

/**
 * Bytes of a hex string, with or without `0x`.
 *
 * @throws DecodeError if the length is odd or a character is not a hex digit
 */
export function hexToBytes(hex: string): Uint8Array {
  const digits = hex.startsWith('0x') ? hex.slice(2) : hex
  try {
    return Uint8Array.fromHex(digits)
  } catch {
    throw new DecodeError('not a hex string', 0)
  }
}
