import { utf8Encode } from './operations.ts'

/** Appends little-endian fields to a buffer that grows by doubling. The mirror of `ByteReader`. */
export class ByteWriter {
  #bytes: Uint8Array
  #view: DataView
  #length = 0

  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(Math.max(16, capacity))
    this.#view = new DataView(this.#bytes.buffer)
  }

  get length(): number {
    return this.#length
  }

  u8(value: number): this {
    const start = this.#advance(1)
    this.#view.setUint8(start, inRange(value, 0xff))
    return this
  }

  u16(value: number): this {
    const start = this.#advance(2)
    this.#view.setUint16(start, inRange(value, 0xffff), true)
    return this
  }

  u32(value: number): this {
    const start = this.#advance(4)
    this.#view.setUint32(start, inRange(value, 0xffff_ffff), true)
    return this
  }

  u64(value: bigint): this {
    if (value < 0n || value >= 1n << 64n) throw new RangeError(`${value} does not fit u64`)
    const start = this.#advance(8)
    this.#view.setBigUint64(start, value, true)
    return this
  }

  u53(value: number): this {
    return this.u64(BigInt(inRange(value, Number.MAX_SAFE_INTEGER)))
  }

  bytes(value: Uint8Array): this {
    const start = this.#advance(value.length)
    this.#bytes.set(value, start)
    return this
  }

  prefixed(value: Uint8Array): this {
    return this.u32(value.length).bytes(value)
  }

  text(value: string): this {
    return this.prefixed(utf8Encode(value))
  }

  /** The bytes written so far, copied: the writer may go on. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }

  /** Makes room. Call it before touching `#view`: growing replaces it. */
  #advance(length: number): number {
    const start = this.#length
    const end = start + length
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(end, this.#bytes.length * 2))
      grown.set(this.#bytes.subarray(0, start))
      this.#bytes = grown
      this.#view = new DataView(grown.buffer)
    }
    this.#length = end
    return start
  }
}

function inRange(value: number, max: number): number {
  if (!Number.isInteger(value) || value < 0 || value > max) throw new RangeError(`${value} is outside 0..${max}`)
  return value
}
