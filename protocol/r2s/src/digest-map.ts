import { equalBytes } from '@cumulus/bytes'

/**
 * Map from digests to values without turning them into strings: keyed by the first six bytes as a number. Whoever
 * grinds collisions makes his own lists longer by one per 2^24 hashes, and every user of this map bounds its size.
 */
export class DigestMap<Value> {
  readonly #buckets = new Map<number, { digest: Uint8Array; value: Value }[]>()
  #size = 0

  get size(): number {
    return this.#size
  }

  get(digest: Uint8Array): Value | undefined {
    const bucket = this.#buckets.get(digestKey(digest))
    if (bucket) for (const entry of bucket) if (equalBytes(entry.digest, digest)) return entry.value
    return undefined
  }

  has(digest: Uint8Array): boolean {
    return this.get(digest) !== undefined
  }

  set(digest: Uint8Array, value: Value): void {
    const key = digestKey(digest)
    const bucket = this.#buckets.get(key)
    if (!bucket) {
      this.#buckets.set(key, [{ digest, value }])
      this.#size++
      return
    }
    for (const entry of bucket) {
      if (equalBytes(entry.digest, digest)) {
        entry.value = value
        return
      }
    }
    bucket.push({ digest, value })
    this.#size++
  }

  delete(digest: Uint8Array): boolean {
    const key = digestKey(digest)
    const bucket = this.#buckets.get(key)
    const at = bucket?.findIndex((entry) => equalBytes(entry.digest, digest)) ?? -1
    if (at < 0) return false
    if (bucket!.length === 1) this.#buckets.delete(key)
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

/** First 48 bits of a digest. */
export function digestKey(digest: Uint8Array): number {
  return (
    (digest[0]! | (digest[1]! << 8) | (digest[2]! << 16)) +
    (digest[3]! | (digest[4]! << 8) | (digest[5]! << 16)) * 0x100_0000
  )
}
