import { createHash, type Hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { ChecksumAlgorithm } from '../../object-layer.ts'
import { crc32c } from './crc32c.ts'
import { Crc64Nvme } from './crc64nvme.ts'

/** A checksum of bytes as they pass. */
export interface RunningChecksum {
  update(data: Uint8Array): void
  /** Raw value, most significant byte first. Called once, after the last update. */
  digest(): Buffer
}

/** Length of a raw value in bytes. */
export const CHECKSUM_BYTES: Readonly<Record<ChecksumAlgorithm, number>> = {
  CRC32: 4,
  CRC32C: 4,
  CRC64NVME: 8,
  SHA1: 20,
  SHA256: 32,
}

export const CHECKSUM_ALGORITHMS = Object.keys(CHECKSUM_BYTES) as ChecksumAlgorithm[]

/**
 * The checksums S3 knows, by one interface.
 *
 * @example
 * const checksum = createChecksum('CRC32C')
 * checksum.update(Buffer.from('123456789'))
 * checksum.digest().toString('hex') // e3069283
 */
export function createChecksum(algorithm: ChecksumAlgorithm): RunningChecksum {
  switch (algorithm) {
    case 'CRC32':
      return new RunningCrc32(crc32)
    case 'CRC32C':
      return new RunningCrc32(crc32c)
    case 'CRC64NVME':
      return new Crc64Nvme()
    case 'SHA1':
      return new RunningHash(createHash('sha1'))
    case 'SHA256':
      return new RunningHash(createHash('sha256'))
  }
}

class RunningCrc32 implements RunningChecksum {
  readonly #step: (data: Uint8Array, previous: number) => number
  #value = 0

  constructor(step: (data: Uint8Array, previous: number) => number) {
    this.#step = step
  }

  update(data: Uint8Array): void {
    this.#value = this.#step(data, this.#value)
  }

  digest(): Buffer {
    const bytes = Buffer.allocUnsafe(4)
    bytes.writeUInt32BE(this.#value)
    return bytes
  }
}

class RunningHash implements RunningChecksum {
  readonly #hash: Hash

  constructor(hash: Hash) {
    this.#hash = hash
  }

  update(data: Uint8Array): void {
    this.#hash.update(data)
  }

  digest(): Buffer {
    return this.#hash.digest()
  }
}
