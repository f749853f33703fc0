import { utf8Decode, utf8Encode } from '@cumulus/bytes'
import { malformed } from './frame-parser.ts'
import { RemoteError } from './session.ts'

const CODE = /^[A-Z][A-Z0-9_]{0,63}$/
const MESSAGE_LENGTH_MAX = 1024
const DETAILS_LENGTH_MAX = 16 * 2 ** 10

/** JSON {code, message, details}: the meta of an error frame. Details that are too long are left out; bigints are text. */
export function encodeRemoteError(error: RemoteError): Uint8Array {
  const code = CODE.test(error.code) ? error.code : 'INTERNAL'
  const message = error.message.slice(0, MESSAGE_LENGTH_MAX)
  const bigints = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value)
  const details = JSON.stringify(error.details, bigints)
  const kept = details.length <= DETAILS_LENGTH_MAX ? JSON.parse(details) : {}
  return utf8Encode(JSON.stringify({ code, message, details: kept }))
}

/** @throws NetworkError `MALFORMED_FRAME` if it is not what `encodeRemoteError` makes */
export function decodeRemoteError(meta: Uint8Array): RemoteError {
  let value: unknown
  try {
    value = JSON.parse(utf8Decode(meta))
  } catch {
    throw malformed('error that is not JSON')
  }
  const { code, message, details } = (value ?? {}) as Record<string, unknown>
  if (typeof code !== 'string' || !CODE.test(code) || typeof message !== 'string' || !isRecord(details)) {
    throw malformed('error without code, message and details')
  }
  return new RemoteError(code, message, details)
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
