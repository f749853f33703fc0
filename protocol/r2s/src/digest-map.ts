import { equalBytes } from '@cumulus/bytes'
import type { BlockRef } from './block.ts'

/**
 * Map whose keys hold a digest, without turning them into strings: found by the first six bytes as a number. Whoever
 * grinds collisions makes his own lists longer by one per 2^24 hashes, and every user of this map bounds its size.
 */
class MapByDigest<Key, Value> {
  readonly #buckets = new Map<number, { key: Key; value: Value }[]>()
  readonly #digestOf: (key: Key) => Uint8Array
  readonly #isSame: (a: Key, b: Key) => boolean
  #size = 0

  constructor(digestOf: (key: Key) => Uint8Array, isSame: (a: Key, b: Key) => boolean) {
    this.#digestOf = digestOf
    this.#isSame = isSame
  }

  get size(): number {
    return this.#size
  }

  get(key: Key): Value | undefined {
    const bucket = this.#buckets.get(digestKey(this.#digestOf(key)))
    if (bucket) for (const entry of bucket) if (this.#isSame(entry.key, key)) return entry.value
    return undefined
  }

  has(key: Key): boolean {
    return this.get(key) !== undefined
  }

  set(key: Key, value: Value): void {
    const number = digestKey(this.#digestOf(key))
    const bucket = this.#buckets.get(number)
    if (!bucket) {
      this.#buckets.set(number, [{ key, value }])
      this.#size++
      return
    }
    for (const entry of bucket) {
      if (this.#isSame(entry.key, key)) {
        entry.value = value
        return
      }
    }
    bucket.push({ key, value })
    this.#size++
  }

  delete(key: Key): boolean {
    const number = digestKey(this.#digestOf(key))
    const bucket = this.#buckets.get(number)
    const at = bucket?.findIndex((entry) => this.#isSame(entry.key, key)) ?? -1
    if (at < 0) return false
    if (bucket!.length === 1) this.#buckets.delete(number)
    else bucket!.splice(at, 1)
    this.#size--
    return true
  }

  /** In order of insertion (but for collisions), so that runs are repeatable. */
  *values(): IterableIterator<Value> {
    for (const bucket of this.#buckets.values()) for (const entry of bucket) yield entry.value
  }

  clear(): void {
    this.#buckets.clear()
    this.#size = 0
  }
}

export class DigestMap<Value> extends MapByDigest<Uint8Array, Value> {
  constructor() {
    super((digest) => digest, equalBytes)
  }
}

/** By digest and place: a liar may name the digest of a block in a round, or by an author, that is not the block's. */
export class RefMap<Value> extends MapByDigest<BlockRef, Value> {
  constructor() {
    super(({ digest }) => digest, isSameRef)
  }
}

function isSameRef(a: BlockRef, b: BlockRef): boolean {
  return a.author === b.author && a.round === b.round && equalBytes(a.digest, b.digest)
}

/** First 48 bits of a digest. */
export function digestKey(digest: Uint8Array): number {
  return (
    (digest[0]! | (digest[1]! << 8) | (digest[2]! << 16)) +
    (digest[3]! | (digest[4]! << 8) | (digest[5]! << 16)) * 0x100_0000
  )
}
