import { SdkError } from './sdk-error.ts'

/** Reading of JSON that a stranger sent. */

/** @throws SdkError BAD_ANSWER */
export function record(value: unknown, name: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad(name, 'an object')
  return value as Record<string, unknown>
}

/** @throws SdkError BAD_ANSWER */
export function list(value: unknown, lengthMax: number, name: string): unknown[] {
  if (!Array.isArray(value) || value.length > lengthMax) throw bad(name, `a list of at most ${lengthMax}`)
  return value
}

/** @throws SdkError BAD_ANSWER */
export function bytes(value: unknown, length: number, name: string): Uint8Array {
  if (typeof value !== 'string' || value.length !== 2 + 2 * length || !/^0x[0-9a-fA-F]*$/.test(value)) {
    throw bad(name, `${length} bytes in hex`)
  }
  return Uint8Array.fromHex(value.slice(2))
}

/** @throws SdkError BAD_ANSWER */
export function anyBytes(value: unknown, lengthMax: number, name: string): Uint8Array {
  if (typeof value !== 'string' || value.length > 2 + 2 * lengthMax || !/^0x([0-9a-fA-F]{2})*$/.test(value)) {
    throw bad(name, `at most ${lengthMax} bytes in hex`)
  }
  return Uint8Array.fromHex(value.slice(2))
}

/** @throws SdkError BAD_ANSWER */
export function integer(value: unknown, name: string): bigint {
  if (typeof value !== 'string' || !/^0x[0-9a-fA-F]{1,64}$/.test(value)) throw bad(name, 'a number in hex')
  return BigInt(value)
}

function bad(name: string, wanted: string): SdkError {
  return new SdkError('BAD_ANSWER', `${name} is not ${wanted}`)
}
