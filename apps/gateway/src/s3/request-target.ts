import { S3Error } from './s3-error.ts'

/** Bytes that stand for themselves in SigV4: RFC 3986, section 2.3. */
const UNRESERVED = buildUnreserved()
const HEX = '0123456789ABCDEF'

/** Path and query of a request as they came on the wire; characters above 0x7f are single bytes (latin1). */
export interface RequestTarget {
  readonly path: string
  readonly query: Query
}

/**
 * Splits the target of a request line. Nothing is normalised: `//`, `/./` and `/../` are parts of keys.
 *
 * @param url origin form (`/bucket/key?query`) or absolute form (`http://host/bucket/key?query`)
 */
export function parseTarget(url: string): RequestTarget {
  const origin = url.startsWith('/') ? url : /^https?:\/\/[^/?]*(.*)$/i.exec(url)?.[1]
  if (origin === undefined) throw new S3Error('InvalidURI')
  const mark = origin.indexOf('?')
  const path = mark < 0 ? origin : origin.slice(0, mark)
  return { path: path === '' ? '/' : path, query: parseQuery(mark < 0 ? '' : origin.slice(mark + 1)) }
}

/** Query parameters in their order, decoded to bytes held in latin1 strings for signing and to text for reading. */
export class Query {
  readonly #entries: readonly (readonly [name: string, value: string])[]

  constructor(entries: readonly (readonly [name: string, value: string])[]) {
    this.#entries = entries
  }

  /** Text of the first parameter of this name; empty for `?name`; undefined if there is none. */
  get(name: string): string | undefined {
    for (const [each, value] of this.#entries) if (each === name) return latin1ToText(value)
    return undefined
  }

  has(name: string): boolean {
    return this.#entries.some(([each]) => each === name)
  }

  names(): string[] {
    return this.#entries.map(([name]) => name)
  }

  /** The canonical query string of SigV4: encoded, then sorted by name, then by value. `X-Amz-Signature` signs, so it is left out. */
  canonical(): string {
    const pairs: [string, string][] = []
    for (const [name, value] of this.#entries) {
      if (name !== 'X-Amz-Signature') pairs.push([encodeBytes(name, false), encodeBytes(value, false)])
    }
    // Compared as pairs, not as joined strings: '=' would sort into the names.
    pairs.sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0))
    return pairs.map(([name, value]) => `${name}=${value}`).join('&')
  }
}

function parseQuery(query: string): Query {
  if (query === '') return new Query([])
  const entries: [string, string][] = []
  for (const pair of query.split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    entries.push(
      equals < 0
        ? [decodeQueryBytes(pair), '']
        : [decodeQueryBytes(pair.slice(0, equals)), decodeQueryBytes(pair.slice(equals + 1))],
    )
  }
  return new Query(entries)
}

/** The canonical URI of SigV4 for S3: decoded once and encoded once, never normalised. */
export function canonicalPath(path: string): string {
  return encodeBytes(decodeBytes(path), true)
}

/** Text of a percent-encoded piece of a path. A `+` is a plus. @throws S3Error InvalidURI */
export function decodePathText(piece: string): string {
  return latin1ToText(decodeBytes(piece))
}

function decodeQueryBytes(piece: string): string {
  return decodeBytes(piece.includes('+') ? piece.replaceAll('+', ' ') : piece)
}

/** Percent-decoding to bytes in a latin1 string: what a client encoded need not be UTF-8 for the signature to hold. */
function decodeBytes(piece: string): string {
  if (!piece.includes('%')) return piece
  if (/%(?![0-9a-fA-F]{2})/.test(piece)) throw new S3Error('InvalidURI')
  return piece.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

/** Strict percent-encoding of bytes held in a latin1 string. */
function encodeBytes(bytes: string, keepSlashes: boolean): string {
  if (keepSlashes ? /^[A-Za-z0-9\-._~/]*$/.test(bytes) : /^[A-Za-z0-9\-._~]*$/.test(bytes)) return bytes
  let out = ''
  for (let i = 0; i < bytes.length; i++) {
    const code = bytes.charCodeAt(i)
    if (UNRESERVED[code] === 1 || (keepSlashes && code === 0x2f)) out += bytes[i]
    else out += `%${HEX[(code >> 4) & 15]}${HEX[code & 15]}`
  }
  return out
}

/** Percent-encoding of text as `encoding-type=url` has it: a slash stays, a space is `%20`, which every decoder understands. */
export function encodeKey(key: string): string {
  return encodeBytes(Buffer.from(key, 'utf8').toString('latin1'), true)
}

/** Bytes held in a latin1 string, as UTF-8. @throws S3Error InvalidURI */
function latin1ToText(bytes: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant
  if (/^[\u0000-\u007f]*$/.test(bytes)) return bytes
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(bytes, 'latin1'))
  } catch {
    throw new S3Error('InvalidURI', 'The specified URI is not UTF-8.')
  }
}

function buildUnreserved(): Uint8Array {
  const table = new Uint8Array(256)
  for (const character of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~') {
    table[character.charCodeAt(0)] = 1
  }
  return table
}
