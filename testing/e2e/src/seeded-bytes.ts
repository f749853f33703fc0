import { createCipheriv, createHash, hash } from 'node:crypto'
import { Readable } from 'node:stream'

const CHUNK_BYTES = 2 ** 20
const zeros = Buffer.alloc(CHUNK_BYTES)

/** The same bytes for the same seed, for ever: AES-128-CTR over zeros. Incompressible, 2 GB/s and more. */
export function* seededChunks(seed: string, bytes: number): Generator<Buffer> {
  const cipher = createCipheriv('aes-128-ctr', hash('sha256', seed, 'buffer').subarray(0, 16), Buffer.alloc(16))
  for (let left = bytes; left > 0; left -= CHUNK_BYTES) {
    yield cipher.update(left >= CHUNK_BYTES ? zeros : zeros.subarray(0, left))
  }
}

export function seededBytes(seed: string, bytes: number): Buffer {
  return Buffer.concat([...seededChunks(seed, bytes)])
}

export function seededStream(seed: string, bytes: number): Readable {
  return Readable.from(seededChunks(seed, bytes), { objectMode: false, highWaterMark: CHUNK_BYTES })
}

/** SHA-256 of what `seededChunks` gives, in hex. */
export function seededDigest(seed: string, bytes: number): string {
  const digest = createHash('sha256')
  for (const chunk of seededChunks(seed, bytes)) digest.update(chunk)
  return digest.digest('hex')
}

/** SHA-256 in hex and length of a stream, without keeping it. */
export async function digestOf(stream: AsyncIterable<Uint8Array>): Promise<{ sha256: string; bytes: number }> {
  const digest = createHash('sha256')
  let bytes = 0
  for await (const chunk of stream) {
    digest.update(chunk)
    bytes += chunk.length
  }
  return { sha256: digest.digest('hex'), bytes }
}
