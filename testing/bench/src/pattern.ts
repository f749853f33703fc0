import { createCipheriv, createHash } from 'node:crypto'
import { BenchError } from './bench-error.ts'

/**
 * Length of the block that contents repeat: a prime, so that no piece, fragment or segment put in another's place can
 * look right. Small enough to stay in cache, so that making and comparing bytes costs a client next to nothing.
 */
const PERIOD = 1_048_583

const block = createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16)).update(Buffer.alloc(PERIOD))
/** Twice, so that any stretch of a period lies in one piece. */
const twice = Buffer.concat([block, block])

/** Contents of an object, incompressible, the same for the same seed. Nothing is held but one block for all. */
export class Pattern {
  readonly bytes: number
  readonly #start: number

  constructor(seed: number, bytes: number) {
    this.bytes = bytes
    this.#start = (seed * 7_919) % PERIOD
  }

  /** Bytes from `offset`, at most a period of them. Do not write to it. */
  at(offset: number, bytes: number): Buffer {
    const from = (this.#start + offset) % PERIOD
    return twice.subarray(from, from + bytes)
  }

  *pieces(pieceBytes = PERIOD): Generator<Buffer> {
    for (let offset = 0; offset < this.bytes; offset += pieceBytes) {
      yield this.at(offset, Math.min(pieceBytes, this.bytes - offset))
    }
  }

  digest(algorithm: 'md5' | 'sha256'): string {
    const hash = createHash(algorithm)
    for (const piece of this.pieces()) hash.update(piece)
    return hash.digest('hex')
  }

  /** Takes the bytes of a body in order and throws WRONG_BYTES at the first that differs, or if some are missing. */
  verifier(name: string): { take(chunk: Uint8Array): void; end(): void } {
    let offset = 0
    return {
      take: (chunk) => {
        for (let done = 0; done < chunk.length; ) {
          const length = Math.min(chunk.length - done, PERIOD)
          if (offset + length > this.bytes || this.at(offset, length).compare(chunk, done, done + length) !== 0) {
            throw new BenchError('WRONG_BYTES', `${name} differs from what was stored`, { offset, length })
          }
          offset += length
          done += length
        }
      },
      end: () => {
        if (offset !== this.bytes) {
          throw new BenchError('WRONG_BYTES', `${name} has ${offset} bytes instead of ${this.bytes}`, { offset })
        }
      },
    }
  }
}
