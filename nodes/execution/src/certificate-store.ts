import { mkdirSync } from 'node:fs'
import { type Database, open, type RootDatabase } from 'lmdb'
import { ExecutionError } from './execution-error.ts'

/** Certificates written and not on disk yet: read from here meanwhile. */
const UNWRITTEN_MAX = 4_096

/**
 * Certificates of chain blocks by height, in an LMDB file beside the chain. Not every height has one: a certificate vouches
 * for all blocks below. Written in the background: one that a power cut takes is made or fetched again.
 */
export class CertificateStore {
  readonly #root: RootDatabase<Uint8Array, Uint8Array>
  readonly #rows: Database<Uint8Array, Uint8Array>
  readonly #unwritten = new Map<bigint, Uint8Array>()
  #highest: bigint | undefined
  #failure: unknown

  /**
   * @param dir folder of the chain, made if it is missing
   * @throws ExecutionError STORE_FAILED
   */
  constructor(dir: string) {
    try {
      mkdirSync(dir, { recursive: true })
      const options = { encoding: 'binary', keyEncoding: 'binary' } as const
      // As in the store of the chain: a failed batch would reject a promise that nobody has.
      this.#root = open({ path: `${dir}/certificates.lmdb`, maxDbs: 1, eventTurnBatching: false, ...options })
      this.#rows = this.#root.openDB({ name: 'certificates', ...options })
      for (const key of this.#rows.getKeys({ reverse: true, limit: 1 })) this.#highest = heightOf(key)
    } catch (cause) {
      throw new ExecutionError('STORE_FAILED', `cannot open the certificates in ${dir}`, { dir }, { cause })
    }
  }

  /** Highest height with a certificate; undefined before the first. */
  get highest(): bigint | undefined {
    return this.#highest
  }

  at(height: bigint): Uint8Array | undefined {
    return this.#unwritten.get(height) ?? this.#rows.getBinary(keyOf(height))
  }

  /** The first certificate at or above `height`: what vouches for the block there. */
  atOrAbove(height: bigint): { readonly height: bigint; readonly certificate: Uint8Array } | undefined {
    let best: bigint | undefined
    for (const key of this.#rows.getKeys({ start: keyOf(height), limit: 1 })) best = heightOf(key)
    for (const unwritten of this.#unwritten.keys()) {
      if (unwritten >= height && (best === undefined || unwritten < best)) best = unwritten
    }
    const certificate = best === undefined ? undefined : this.at(best)
    return certificate && { height: best!, certificate }
  }

  /**
   * Keeps a certificate that was verified.
   *
   * @throws ExecutionError STORE_FAILED if earlier ones could not be written
   */
  put(height: bigint, certificate: Uint8Array): void {
    if (this.#failure !== undefined || this.#unwritten.size >= UNWRITTEN_MAX) {
      throw new ExecutionError('STORE_FAILED', 'certificates cannot be written', {}, { cause: this.#failure })
    }
    if (this.#highest === undefined || height > this.#highest) this.#highest = height
    const kept = certificate.slice()
    this.#unwritten.set(height, kept)
    this.#rows.put(keyOf(height), kept).then(
      () => {
        if (this.#unwritten.get(height) === kept) this.#unwritten.delete(height)
      },
      (error) => {
        this.#failure = error
      },
    )
  }

  async close(): Promise<void> {
    await this.#root.flushed
    await this.#root.close()
  }
}

/** Big-endian, so that the order of keys is that of heights. */
function keyOf(height: bigint): Uint8Array {
  const key = new Uint8Array(8)
  new DataView(key.buffer).setBigUint64(0, height)
  return key
}

function heightOf(key: Uint8Array): bigint {
  return new DataView(key.buffer, key.byteOffset, key.byteLength).getBigUint64(0)
}
