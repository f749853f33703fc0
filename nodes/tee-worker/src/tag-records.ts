import { join } from 'node:path'
import { ByteReader, ByteWriter, concatBytes, equalBytes, utf8Decode, utf8Encode } from '@cumulus/bytes'
import { HASH_BYTES } from '@cumulus/hash'
import { Database, type Table } from '@cumulus/store'
import { TeeWorkerError } from './tee-worker-error.ts'

export interface StripeKey {
  readonly group: number
  readonly stripe: number
}

/** Tags of all seats of a stripe, as they are handed out. */
export interface SignedTags {
  readonly root: Uint8Array
  /** Ed25519 by the peer key over `stripeTagsMessage`. */
  readonly signature: Uint8Array
  readonly tags: Uint8Array
}

/** Why a stripe is never tagged. */
export type Refusal =
  /** The name was tagged for another segment: the chain has gone back on what it had certified. */
  | 'other-root'
  /** The fragments are not those of one segment: whoever committed it lied. */
  | 'inconsistent'

/** Tags that wait for seats which are away. What does not fit is made again when it is asked for. */
const OUTBOX_BYTES_MAX = 256 * 2 ** 20
const SIGNATURE_BYTES = 64
const KEY_NOTE = utf8Encode('tagger-key')

/**
 * What the worker must not forget. A *claim* is written before a stripe is tagged and never changed: it alone decides which
 * content a name may be tagged for, whatever the chain says later.
 *
 *     claims      group u32 ‖ stripe u32 (big-endian) → segment root 32
 *     refused     the same key → reason
 *     outbox      the same key → root 32 ‖ signature 64 ‖ tags
 *     delivered   the same key → u32, a bit for every seat that has taken them
 *     meta        whose claims these are: hash of the tagger key
 */
export class TagRecords {
  readonly #database: Database
  readonly #claims: Table
  readonly #refused: Table
  readonly #outbox: Table
  readonly #delivered: Table
  readonly #meta: Table
  readonly #outboxBytesMax: number
  /** Claims on their way to disk, by key. */
  readonly #writing = new Map<string, Promise<void>>()
  readonly #refusedCounts: Record<Refusal, number> = { 'other-root': 0, inconsistent: 0 }
  #outboxBytes = 0

  private constructor(database: Database, outboxBytesMax: number) {
    this.#database = database
    this.#outboxBytesMax = outboxBytesMax
    this.#claims = database.table('claims')
    this.#refused = database.table('refused')
    this.#outbox = database.table('outbox')
    this.#delivered = database.table('delivered')
    this.#meta = database.table('meta')
    for (const { value } of this.#outbox.range()) this.#outboxBytes += value.length
    for (const { value } of this.#refused.range()) this.#refusedCounts[utf8Decode(value) as Refusal]++
  }

  /**
   * The records of a tagger key.
   *
   * @param init.isNewKey the key was just made: the records may be empty
   * @param init.outboxBytesMax of tags that wait for seats which are away. Default 256 MiB
   * @throws TeeWorkerError RECORDS_LOST if the key has tagged before and these are not its records
   */
  static async open(
    folder: string,
    keyHash: Uint8Array,
    init: { readonly isNewKey: boolean; readonly outboxBytesMax?: number },
  ): Promise<TagRecords> {
    const database = await Database.open(join(folder, 'records'))
    const records = new TagRecords(database, init.outboxBytesMax ?? OUTBOX_BYTES_MAX)
    const known = records.#meta.get(KEY_NOTE)
    if (known ? !equalBytes(known, keyHash) : !init.isNewKey) {
      await records.close()
      throw new TeeWorkerError('RECORDS_LOST', 'the records of what this key has tagged are not here: rotate the key')
    }
    if (!known) await records.#meta.put(KEY_NOTE, keyHash)
    return records
  }

  /**
   * Claims a name for a segment, durably when it resolves.
   *
   * @returns `new` if nothing was tagged under it yet, `again` if this very segment may have been, `other` if another one was
   */
  async claim(key: StripeKey, root: Uint8Array): Promise<'new' | 'again' | 'other'> {
    const encoded = encodeKey(key)
    const name = encoded.toHex()
    const writing = this.#writing.get(name)
    if (writing) await writing.catch(() => undefined)
    const known = this.#claims.get(encoded)
    if (known) return equalBytes(known, root) ? 'again' : 'other'
    const write = this.#claims.put(encoded, root).finally(() => this.#writing.delete(name))
    this.#writing.set(name, write)
    await write
    return 'new'
  }

  get claimCount(): number {
    return this.#claims.count
  }

  refusal(key: StripeKey): Refusal | undefined {
    const value = this.#refused.get(encodeKey(key))
    return value && (utf8Decode(value) as Refusal)
  }

  async refuse(key: StripeKey, reason: Refusal): Promise<void> {
    const before = this.refusal(key)
    await this.#refused.put(encodeKey(key), utf8Encode(reason))
    if (before) this.#refusedCounts[before]--
    this.#refusedCounts[reason]++
  }

  get refusedCounts(): Readonly<Record<Refusal, number>> {
    return this.#refusedCounts
  }

  /** Keeps tags until every seat has taken them. */
  async keep(key: StripeKey, { root, signature, tags }: SignedTags): Promise<void> {
    const value = concatBytes(root, signature, tags)
    const encoded = encodeKey(key)
    const before = this.#outbox.get(encoded)
    const evicted: Uint8Array[] = []
    let bytes = this.#outboxBytes + value.length - (before?.length ?? 0)
    if (bytes > this.#outboxBytesMax) {
      for (const entry of this.#outbox.range()) {
        if (bytes <= this.#outboxBytesMax) break
        if (equalBytes(entry.key, encoded)) continue
        bytes -= entry.value.length
        evicted.push(entry.key)
      }
    }
    await this.#database.write((batch) => {
      for (const gone of evicted) {
        batch.delete(this.#outbox, gone)
        batch.delete(this.#delivered, gone)
      }
      batch.put(this.#outbox, encoded, value)
    })
    this.#outboxBytes = bytes
  }

  kept(key: StripeKey): SignedTags | undefined {
    const value = this.#outbox.get(encodeKey(key))
    return value && decodeTags(value)
  }

  /** Bit i: seat i has taken the tags that are kept. */
  delivered(key: StripeKey): number {
    const value = this.#delivered.get(encodeKey(key))
    return value ? new ByteReader(value).u32() : 0
  }

  setDelivered(key: StripeKey, seats: number): Promise<void> {
    return this.#delivered.put(encodeKey(key), new ByteWriter(8).u32(seats).finish())
  }

  /** Everybody has them, or nobody needs them. */
  async drop(key: StripeKey): Promise<void> {
    const encoded = encodeKey(key)
    const value = this.#outbox.get(encoded)
    if (!value) return
    await this.#database.write((batch) => {
      batch.delete(this.#outbox, encoded)
      batch.delete(this.#delivered, encoded)
    })
    this.#outboxBytes -= value.length
  }

  /** Stripes whose tags are kept. */
  *keptKeys(): Generator<StripeKey> {
    for (const { key } of this.#outbox.range()) yield decodeKey(key)
  }

  /** Of the tags that are kept. */
  get outboxBytes(): number {
    return this.#outboxBytes
  }

  get keptCount(): number {
    return this.#outbox.count
  }

  close(): Promise<void> {
    return this.#database.close()
  }
}

function encodeKey({ group, stripe }: StripeKey): Uint8Array {
  const key = new Uint8Array(8)
  const view = new DataView(key.buffer)
  view.setUint32(0, group)
  view.setUint32(4, stripe)
  return key
}

function decodeKey(key: Uint8Array): StripeKey {
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength)
  return { group: view.getUint32(0), stripe: view.getUint32(4) }
}

function decodeTags(value: Uint8Array): SignedTags {
  const reader = new ByteReader(value)
  return {
    root: reader.bytes(HASH_BYTES),
    signature: reader.bytes(SIGNATURE_BYTES),
    tags: reader.bytes(reader.remaining),
  }
}
