import { ByteReader, ByteWriter, equalBytes, utf8Encode } from '@cumulus/bytes'
import { blockWrites } from '../chain/block-store.ts'
import { encodeHeader, type HashedHeader } from '../chain/header.ts'
import { META, u64Key } from '../chain/keys.ts'
import { decodeAccount } from '../state/account.ts'
import type { DirtyAccount } from '../state/journaled-state.ts'
import type { LedgerStore, LedgerWrite } from '../state/ledger-store.ts'
import { readerOf } from '../state/state-reader.ts'
import { RangeProofError } from '../trie/range-proof.ts'
import { bytesToInteger } from '../trie/rlp.ts'
import { StateTrie } from '../trie/state-trie.ts'
import { EMPTY_ROOT } from '../trie/trie.ts'
import { decodeChunk, hasCode, SNAPSHOT_START, type SnapshotCursor, verifyChunk } from './chunk.ts'
import type { BlockContent } from './content.ts'

const PROGRESS = utf8Encode('snapshot')
const BASE = utf8Encode('base')

/** Trie nodes in memory while chunks are read in. */
const NODES_KEPT = 50_000

/** How far an import is, as it is stored with each chunk. */
export interface SnapshotProgress {
  /** Names the snapshot. */
  readonly id: Uint8Array
  /** Chunks that are in. */
  readonly count: number
  readonly next: SnapshotCursor | undefined
  /** Of the state so far. */
  readonly root: Uint8Array
}

/** The import that was begun in a store and not ended. */
export function snapshotProgress(store: LedgerStore): SnapshotProgress | undefined {
  const stored = store.get('meta', PROGRESS)
  if (stored === undefined) return undefined
  const reader = new ByteReader(stored)
  const [id, count, root] = [reader.bytes(32).slice(), reader.u32(), reader.bytes(32).slice()]
  const hasNext = reader.u8() === 1
  const next = { account: reader.bytes(32).slice(), slot: reader.bytes(32).slice() }
  return { id, count, root, next: hasNext ? next : undefined }
}

/** The block whose state a store began with; undefined if it has all blocks from the first. */
export function snapshotBase(store: LedgerStore): bigint | undefined {
  const stored = store.get('meta', BASE)
  return stored && new DataView(stored.buffer, stored.byteOffset, 8).getBigUint64(0)
}

/**
 * Reads the state of a block into an empty store, chunk by chunk. Each is proven against the state root before anything
 * of it is written, and written together with how far the import is: whatever kills the process, it goes on from there.
 */
export class SnapshotImport {
  readonly #store: LedgerStore
  readonly #header: HashedHeader
  readonly #trie: StateTrie
  #progress: SnapshotProgress

  /** @param id 32 bytes that name the snapshot; an import of another one must have been cleared from the store */
  constructor(store: LedgerStore, header: HashedHeader, id: Uint8Array) {
    this.#store = store
    this.#header = header
    const begun = snapshotProgress(store)
    if (begun && !equalBytes(begun.id, id)) throw new Error('another import was begun here')
    this.#progress = begun ?? { id, count: 0, next: SNAPSHOT_START, root: EMPTY_ROOT }
    this.#trie = new StateTrie(readerOf(store), this.#progress.root, NODES_KEPT)
  }

  /** Chunks that are in. */
  get count(): number {
    return this.#progress.count
  }

  /** Whether the last chunk is in. */
  get isWhole(): boolean {
    return this.#progress.next === undefined
  }

  /**
   * Takes the next chunk.
   *
   * @throws RangeProofError, DecodeError if it is not what it should be; nothing has changed then
   */
  add(bytes: Uint8Array): void {
    const { next: expected, id, count } = this.#progress
    if (!expected) throw new RangeProofError('a chunk behind the last one')
    const chunk = decodeChunk(bytes)
    if (!equalBytes(chunk.first.account, expected.account) || !equalBytes(chunk.first.slot, expected.slot)) {
      throw new RangeProofError('a chunk that begins elsewhere')
    }
    const { entries, next } = verifyChunk(chunk, this.#header.stateRoot)
    const brought = new Set(entries.flatMap(({ code, decoded }) => (code ? [decoded.codeHash.toHex()] : [])))
    const dirty = entries.map(({ address, decoded, code, slots, isContinued }): DirtyAccount => {
      if (hasCode(decoded) && !brought.has(decoded.codeHash.toHex()) && !this.#store.get('code', decoded.codeHash)) {
        throw new RangeProofError('code is missing')
      }
      const before = isContinued ? this.#store.get('account', address) : undefined
      return {
        address,
        nonce: decoded.nonce,
        balance: decoded.balance,
        codeHash: decoded.codeHash,
        newCode: code,
        storageRoot: before ? decodeAccount(before).storageRoot : EMPTY_ROOT,
        slots: slots.map(({ slot, value }) => ({ slot: bytesToInteger(slot), value: bytesToInteger(value) })),
      }
    })
    const { root, writes } = this.#trie.apply(dirty)
    this.#progress = { id, count: count + 1, next, root }
    this.#store.write([...writes, { table: 'meta', key: PROGRESS, value: encodeProgress(this.#progress) }])
  }

  /**
   * Makes the block the head of the chain.
   *
   * @param headers the block's own and those before it: contracts may ask for the hashes of 256
   * @param content of the block, checked against its header
   * @throws Error if the state does not add up to the block's root, although every chunk did
   */
  finish(headers: readonly HashedHeader[], content: BlockContent, genesisHash: Uint8Array): void {
    const { root, next } = this.#progress
    const { number, stateRoot } = this.#header
    if (next || !equalBytes(root, stateRoot)) throw new Error(`the state is not that of block ${number}`)
    const writes: LedgerWrite[] = headers.flatMap((header) => [
      { table: 'header', key: u64Key(header.number), value: encodeHeader(header) },
      { table: 'number', key: header.hash, value: u64Key(header.number) },
    ])
    writes.push(
      ...blockWrites(this.#header, content.transactions, content.receipts),
      { table: 'meta', key: META.genesis, value: genesisHash },
      { table: 'meta', key: BASE, value: u64Key(number) },
      { table: 'meta', key: PROGRESS, value: undefined },
    )
    this.#store.write(writes)
  }
}

function encodeProgress({ id, count, root, next }: SnapshotProgress): Uint8Array {
  const { account, slot } = next ?? SNAPSHOT_START
  return new ByteWriter(133)
    .bytes(id)
    .u32(count)
    .bytes(root)
    .u8(next ? 1 : 0)
    .bytes(account)
    .bytes(slot)
    .finish()
}
