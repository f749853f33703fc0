import { DecodeError, equalBytes } from '@cumulus/bytes'
import type { FragmentKey, SlabStore } from '@cumulus/store'
import type { Address } from '@cumulus/types'
import { decodeTagRecord, keyIdOf, type TagRecord, UNCHECKED } from './tag-record.ts'
import type { Taggers } from './taggers.ts'

/** Tags as the store has them: the bytes name them in every later change. */
export interface StoredTags {
  readonly record: TagRecord
  readonly bytes: Uint8Array
}

/** Tags that a miner may prove by: they passed the full check, by the key that their tagger has now. */
export class KeptTags {
  readonly #store: SlabStore
  readonly #taggers: Pick<Taggers, 'get'>

  constructor(store: SlabStore, taggers: Pick<Taggers, 'get'>) {
    this.#store = store
    this.#taggers = taggers
  }

  /** @param tagger whose they must be; default: anybody's */
  get(key: FragmentKey, tagger?: Address): StoredTags | undefined {
    const stored = this.stored(key)
    if (!stored || !this.#isTrusted(stored.record)) return undefined
    if (tagger !== undefined && !isSameAccount(stored.record.tagger, tagger)) return undefined
    const info = this.#store.info(key)
    return info && equalBytes(info.segmentRoot, stored.record.segmentRoot) ? stored : undefined
  }

  /** What lies there, whoever has checked it. Rubbish counts as nothing. */
  stored(key: FragmentKey): StoredTags | undefined {
    return decoded(this.#store.getTags(key))
  }

  offered(key: FragmentKey): StoredTags | undefined {
    return decoded(this.#store.offeredTags(key))
  }

  #isTrusted({ tagger, checkedBy }: TagRecord): boolean {
    if (equalBytes(checkedBy, UNCHECKED)) return false
    const worker = this.#taggers.get(tagger)
    // One that has left has no other key.
    return !worker || equalBytes(checkedBy, keyIdOf(worker.taggerKey))
  }
}

export function isSameAccount(one: Address, other: Address): boolean {
  return one.toLowerCase() === other.toLowerCase()
}

function decoded(bytes: Uint8Array | undefined): StoredTags | undefined {
  if (!bytes) return undefined
  try {
    return { bytes, record: decodeTagRecord(bytes) }
  } catch (error) {
    if (error instanceof DecodeError) return undefined
    throw error
  }
}
