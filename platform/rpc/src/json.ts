import { overLimit, RpcError } from './rpc-error.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c

/**
 * `JSON.parse` of UTF-8 bytes, with the nesting checked beforehand by one pass that does not recurse.
 *
 * @throws RpcError PARSE_ERROR or LIMIT_EXCEEDED
 */
export function parseJson(bytes: Uint8Array, depthMax: number): unknown {
  let depth = 0
  let inString = false
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (inString) {
      if (byte === BACKSLASH) i++
      else if (byte === QUOTE) inString = false
    } else if (byte === QUOTE) inString = true
    // '[' 0x5b and '{' 0x7b, ']' 0x5d and '}' 0x7d differ in one bit.
    else if ((byte & 0xdf) === 0x5b) {
      if (++depth > depthMax) throw overLimit('json_depth', `JSON is nested more than ${depthMax} deep`)
    } else if ((byte & 0xdf) === 0x5d) depth--
  }
  try {
    return JSON.parse(utf8.decode(bytes))
  } catch (cause) {
    throw new RpcError('PARSE_ERROR', 'the request is not JSON', { cause })
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })
