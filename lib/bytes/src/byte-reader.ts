import { utf8Decode } from './operations.ts'

/** Bytes that are not what their format says. Tells where reading stopped. */
export class DecodeError extends Error {
  readonly code = 'MALFORMED'
  readonly offset: number
  constructor(reason: string, offset: number) {
    super(`${reason} (at byte ${offset})`)
    this.name = 'DecodeError'
    this.offset = offset
  }
}

/**
 * Reads little-endian fields one after the other and checks every length before it looks.
 * Slices returned by `bytes` are views of the input: copy what must outlive it.
 */
export class ByteReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #offset = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get offset(): number {
    return this.#offset
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1))
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2), true)
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true)
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#advance(8), true)
  }

  /** A u64 that must be a safe integer, such as a length or a time in ms. */
  u53(): number {
    const at = this.#offset
    const value = this.u64()
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new DecodeError('number above 2^53', at)
    return Number(value)
  }

  /** A view of the next `length` bytes. */
  bytes(length: number): Uint8Array {
    const start = this.#advance(length)
    return this.#bytes.subarray(start, start + length)
  }

  /** u32 length, then as many bytes; refused above `maxLength`. */
  prefixed(maxLength: number): Uint8Array {
    const at = this.#offset
    const length = this.u32()
    if (length > maxLength) throw new DecodeError(`length ${length} is over the limit of ${maxLength}`, at)
    return this.bytes(length)
  }

  /** u32 length, then UTF-8 text; refused above `maxLength` bytes. */
  text(maxLength: number): string {
    const at = this.#offset
    const bytes = this.prefixed(maxLength)
    try {
      return utf8Decode(bytes)
    } catch {
      throw new DecodeError('text is not UTF-8', at)
    }
  }

  /** Call last: bytes nobody asked for are an error. */
  end(): void {
    if (this.remaining !== 0) throw new DecodeError(`${this.remaining} bytes too many`, this.#offset)
  }

  #advance(length: number): number {
    const start = this.#offset
    if (length < 0 || length > this.#bytes.length - start) {
      throw new DecodeError(`${length} bytes wanted, ${this.#bytes.length - start} left`, start)
    }
    this.#offset = start + length
    return start
  }
}
