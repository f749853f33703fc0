import { compareBytes, concatBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { type Account, decodeAccount } from '../state/account.ts'
import type { LedgerStore } from '../state/ledger-store.ts'
import { Trie } from '../trie/trie.ts'
import {
  encodeChunk,
  following,
  hasCode,
  SNAPSHOT_CHUNK_BYTES_MAX,
  SNAPSHOT_START,
  type SnapshotCursor,
  type SnapshotEntry,
  type SnapshotSlot,
} from './chunk.ts'

/** The store as it was after one block, whatever is written meanwhile. */
export type SnapshotSource = Pick<LedgerStore, 'get' | 'keys'>

export interface SnapshotWriteInit {
  /** Bytes of a chunk before its proofs; those have some tens of kilobytes. */
  readonly targetBytes?: number
  /** Hashes held in memory at once, 130 B each; the tables are read once for every so many keys. */
  readonly hashesMax?: number
}

const TARGET_BYTES = SNAPSHOT_CHUNK_BYTES_MAX - 128 * 2 ** 10
const HASHES_MAX = 65_536
/** Keys read between two pauses, and entries and slots written. */
const PAGE_KEYS = 500
const ENTRIES_PER_PAUSE = 128
/** Codes remembered as written; beyond, they are written again. */
const CODES_MAX = 100_000
/** What an entry has besides its lists. */
const ENTRY_BYTES = 160

const ACCOUNTS = Uint8Array.of(0)
const STORAGE = Uint8Array.of(1)

/**
 * The state as chunks, in order. The same for everybody: every node cuts the state of a block in the same places.
 * `undefined` comes in between, wherever the caller may rest and let others work.
 */
export function* writeSnapshot(
  source: SnapshotSource,
  stateRoot: Uint8Array,
  { targetBytes = TARGET_BYTES, hashesMax = HASHES_MAX }: SnapshotWriteInit = {},
): Generator<Uint8Array | undefined> {
  const written = new Set<string>()
  let first: SnapshotCursor = SNAPSHOT_START
  let entries: SnapshotEntry[] = []
  let bytes = 0
  let work = 0
  const isDue = () => ++work % ENTRIES_PER_PAUSE === 0
  const close = (end: { isLast: boolean; cutAt?: Uint8Array }): Uint8Array => {
    const last = entries.at(-1)
    const lastKey = last && keccak256(last.address)
    const { isLast, cutAt } = end
    const chunk = encodeChunk({
      first,
      isLast,
      isCut: cutAt !== undefined,
      entries,
      accountProof: proofOf(source, ACCOUNTS, stateRoot, [first.account, isLast ? GREATEST : lastKey!]),
      storageProof: storageProofOf(source, first, entries, cutAt),
    })
    first = cutAt
      ? { account: lastKey!, slot: following(cutAt)! }
      : { account: (lastKey && following(lastKey)) ?? GREATEST, slot: SNAPSHOT_START.slot }
    entries = []
    bytes = 0
    return chunk
  }

  for (const found of sortedByHash(source, 'account', new Uint8Array(0), 20, hashesMax)) {
    if (!found) {
      yield undefined
      continue
    }
    if (isDue()) yield undefined
    const { key: address } = found
    const rlp = source.get('account', address)!.slice()
    const account = decodeAccount(rlp)
    const code = codeOf(source, account, written)
    const size = ENTRY_BYTES + (code?.length ?? 0)
    if (bytes > 0 && bytes + size > targetBytes) yield close({ isLast: false })
    let slots: SnapshotSlot[] = []
    const open = (withCode: Uint8Array | undefined) => {
      slots = []
      entries.push({ address, account: rlp, code: withCode, slots })
      bytes += ENTRY_BYTES + (withCode?.length ?? 0)
    }
    open(code)
    let lastSlot: Uint8Array | undefined
    for (const slot of sortedByHash(source, 'slot', address, 32, hashesMax)) {
      if (!slot) {
        yield undefined
        continue
      }
      if (isDue()) yield undefined
      if (bytes + 65 > targetBytes && slots.length > 0) {
        yield close({ isLast: false, cutAt: lastSlot! })
        open(undefined)
      }
      const value = source.get('slot', concatBytes(address, slot.key))!.slice()
      slots.push({ slot: slot.key, value })
      bytes += 33 + value.length
      lastSlot = slot.hash
    }
  }
  yield close({ isLast: true })
}

const GREATEST = new Uint8Array(32).fill(0xff)

function codeOf(source: SnapshotSource, account: Account, written: Set<string>): Uint8Array | undefined {
  if (!hasCode(account)) return undefined
  const name = account.codeHash.toHex()
  if (written.has(name)) return undefined
  if (written.size >= CODES_MAX) written.clear()
  written.add(name)
  return source.get('code', account.codeHash)!.slice()
}

/** Nodes on the way to the keys, each once. */
function proofOf(
  source: SnapshotSource,
  prefix: Uint8Array,
  root: Uint8Array,
  keys: readonly Uint8Array[],
): Uint8Array[] {
  const read = (path: Uint8Array) => source.get('node', concatBytes(prefix, path))
  const trie = new Trie({ read, write() {} }, root)
  const nodes = new Map<string, Uint8Array>()
  for (const key of keys) for (const node of trie.prove(key)) nodes.set(node.toHex(), node)
  return [...nodes.values()]
}

function storageProofOf(
  source: SnapshotSource,
  first: SnapshotCursor,
  entries: readonly SnapshotEntry[],
  cutAt: Uint8Array | undefined,
): Uint8Array[] {
  const continues = first.slot.some((byte) => byte !== 0)
  const bounds = new Map<SnapshotEntry, Uint8Array[]>()
  const bound = (entry: SnapshotEntry, key: Uint8Array) => bounds.set(entry, [...(bounds.get(entry) ?? []), key])
  if (continues) bound(entries[0]!, first.slot)
  if (cutAt) bound(entries.at(-1)!, cutAt)
  if (continues && !(cutAt && entries.length === 1)) bound(entries[0]!, GREATEST)
  if (cutAt && !(continues && entries.length === 1)) bound(entries.at(-1)!, SNAPSHOT_START.slot)
  return [...bounds].flatMap(([{ address, account }, keys]) =>
    proofOf(source, concatBytes(STORAGE, address), decodeAccount(account).storageRoot, keys),
  )
}

interface Hashed {
  readonly hash: Uint8Array
  readonly key: Uint8Array
}

/** Keys of a table behind `prefix`, in the order of their hashes; `undefined` wherever others may work. */
function* sortedByHash(
  source: SnapshotSource,
  table: 'account' | 'slot',
  prefix: Uint8Array,
  keyBytes: number,
  hashesMax: number,
): Generator<Hashed | undefined> {
  let passes = 1
  for (let pass = 0; pass < passes; pass++) {
    let some: Hashed[] = []
    let count = 0
    for (const key of keysOf(source, table, prefix, keyBytes)) {
      if (!key) {
        yield undefined
        continue
      }
      count++
      if (passes === 1 && count > hashesMax) {
        // Too many for one go: the rest of this pass only counts.
        some = []
        continue
      }
      const hash = keccak256(key)
      const at = ((hash[0]! << 24) | (hash[1]! << 16) | (hash[2]! << 8) | hash[3]!) >>> 0
      if (Math.floor((at * passes) / 2 ** 32) === pass) some.push({ hash, key })
    }
    if (passes === 1 && count > hashesMax) {
      passes = Math.ceil((count * 1.2) / hashesMax)
      pass = -1
      continue
    }
    some.sort((a, b) => compareBytes(a.hash, b.hash))
    yield* some
  }
}

function* keysOf(
  source: SnapshotSource,
  table: 'account' | 'slot',
  prefix: Uint8Array,
  keyBytes: number,
): Generator<Uint8Array | undefined> {
  let from = concatBytes(prefix, new Uint8Array(keyBytes))
  const before = concatBytes(prefix, new Uint8Array(keyBytes + 1).fill(0xff))
  for (;;) {
    const page = source.keys(table, from, before, PAGE_KEYS)
    for (const key of page) yield Uint8Array.from(key.subarray(prefix.length))
    if (page.length < PAGE_KEYS) return
    from = concatBytes(page.at(-1)!, Uint8Array.of(0))
    yield undefined
  }
}
