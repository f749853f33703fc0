import { ByteReader, ByteWriter, compareBytes, DecodeError, equalBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { type Account, decodeAccount, EMPTY_CODE_HASH } from '../state/account.ts'
import { RangeProofError, rootOfLeaves, type TrieLeaf, verifyRange } from '../trie/range-proof.ts'
import { encodeRlp } from '../trie/rlp.ts'

/** A chunk has at most this many bytes. */
export const SNAPSHOT_CHUNK_BYTES_MAX = 2 ** 20

/** Where a chunk begins: in the order of hashed addresses, and within an account in that of hashed slots. */
export interface SnapshotCursor {
  readonly account: Uint8Array
  readonly slot: Uint8Array
}

/** Where the first chunk begins. */
export const SNAPSHOT_START: SnapshotCursor = { account: new Uint8Array(32), slot: new Uint8Array(32) }

export interface SnapshotSlot {
  /** 32 bytes, not hashed. */
  readonly slot: Uint8Array
  /** Without leading zeros, never empty. */
  readonly value: Uint8Array
}

/** An account, or, where its storage is cut, a piece of one. */
export interface SnapshotEntry {
  readonly address: Uint8Array
  /** RLP, the leaf of the state trie. */
  readonly account: Uint8Array
  /** Absent if the account has none, or if an earlier chunk or entry brought it. */
  readonly code: Uint8Array | undefined
  /** Sorted by hash. */
  readonly slots: readonly SnapshotSlot[]
}

/**
 * A piece of the state after a block, with the trie nodes that prove it whole against the state root. Addresses and slots
 * are not hashed, because the ledger keeps them under their names; they are sorted by their hashes, because the trie is.
 * Little-endian.
 *
 *     offset  bytes  field
 *     0       1      version, 1
 *     1       1      flags: bit 0 = the last chunk, bit 1 = the storage of the last account goes on in the next one
 *     2       2      0
 *     4       32     hashed address at which the range begins
 *     36      32     hashed slot at which it begins within that account; zeros = with the account itself
 *     68      4      entries, each:
 *                      20  address
 *                      1+n length, RLP of the account
 *                      4+n length, code; 0 = none, or known from an earlier entry
 *                      4   slots, each: slot 32, length 1, value
 *             4      nodes that prove the accounts, each: length 2, RLP
 *             4      nodes that prove storage that is cut, each: length 2, RLP
 *
 * The range of accounts ends with the last entry, or with the greatest hash in the last chunk; so does that of slots.
 */
export interface SnapshotChunk {
  readonly first: SnapshotCursor
  readonly isLast: boolean
  readonly isCut: boolean
  readonly entries: readonly SnapshotEntry[]
  readonly accountProof: readonly Uint8Array[]
  readonly storageProof: readonly Uint8Array[]
}

const VERSION = 1
const GREATEST = new Uint8Array(32).fill(0xff)
const ZEROS = new Uint8Array(32)

export function encodeChunk(chunk: SnapshotChunk): Uint8Array {
  const writer = new ByteWriter(SNAPSHOT_CHUNK_BYTES_MAX >> 2)
  writer
    .u8(VERSION)
    .u8((chunk.isLast ? 1 : 0) | (chunk.isCut ? 2 : 0))
    .u16(0)
  writer.bytes(chunk.first.account).bytes(chunk.first.slot).u32(chunk.entries.length)
  for (const { address, account, code, slots } of chunk.entries) {
    writer.bytes(address).u8(account.length).bytes(account)
    writer.prefixed(code ?? new Uint8Array(0)).u32(slots.length)
    for (const { slot, value } of slots) writer.bytes(slot).u8(value.length).bytes(value)
  }
  for (const proof of [chunk.accountProof, chunk.storageProof]) {
    writer.u32(proof.length)
    for (const node of proof) writer.u16(node.length).bytes(node)
  }
  return writer.finish()
}

/** @throws DecodeError */
export function decodeChunk(bytes: Uint8Array): SnapshotChunk {
  if (bytes.length > SNAPSHOT_CHUNK_BYTES_MAX) throw new DecodeError(`a chunk of ${bytes.length} bytes`, 0)
  const reader = new ByteReader(bytes)
  const version = reader.u8()
  if (version !== VERSION) throw new DecodeError(`a chunk of version ${version}`, 0)
  const flags = reader.u8()
  if (flags > 3 || flags === 3 || reader.u16() !== 0) throw new DecodeError('flags that mean nothing', 1)
  const first = { account: reader.bytes(32).slice(), slot: reader.bytes(32).slice() }
  const entries: SnapshotEntry[] = []
  // Counts are not believed: a list ends with the bytes.
  for (let left = reader.u32(); left > 0; left--) {
    const address = reader.bytes(20).slice()
    const account = reader.bytes(reader.u8()).slice()
    const code = reader.prefixed(SNAPSHOT_CHUNK_BYTES_MAX).slice()
    const slots: SnapshotSlot[] = []
    for (let slotsLeft = reader.u32(); slotsLeft > 0; slotsLeft--) {
      const slot = reader.bytes(32).slice()
      const value = reader.bytes(reader.u8()).slice()
      if (value.length === 0 || value.length > 32 || value[0] === 0) throw new DecodeError('no value', reader.offset)
      slots.push({ slot, value })
    }
    entries.push({ address, account, code: code.length > 0 ? code : undefined, slots })
  }
  const [accountProof, storageProof] = [nodes(reader), nodes(reader)]
  reader.end()
  return { first, isLast: (flags & 1) !== 0, isCut: (flags & 2) !== 0, entries, accountProof, storageProof }
}

function nodes(reader: ByteReader): Uint8Array[] {
  const list: Uint8Array[] = []
  for (let left = reader.u32(); left > 0; left--) list.push(reader.bytes(reader.u16()).slice())
  return list
}

/** An entry whose place in the state is proven. */
export interface ProvenEntry extends SnapshotEntry {
  readonly decoded: Account
  /** Whether an earlier chunk began its storage. */
  readonly isContinued: boolean
}

/**
 * Checks that a chunk holds all that the state has in its range, and nothing else. Code that is absent may have come
 * before: the caller knows.
 *
 * @returns the entries, and where the next chunk must begin; nowhere if this was the last
 * @throws RangeProofError, DecodeError
 */
export function verifyChunk(
  chunk: SnapshotChunk,
  stateRoot: Uint8Array,
): { entries: ProvenEntry[]; next: SnapshotCursor | undefined } {
  const { first, entries, isLast, isCut } = chunk
  if (entries.length === 0 && !isLast) throw new RangeProofError('a chunk without an end')
  const leaves = entries.map(({ address, account }) => ({ key: keccak256(address), value: account }))
  const lastKey = leaves.at(-1)?.key
  verifyRange(stateRoot, first.account, isLast ? GREATEST : lastKey!, leaves, chunk.accountProof)
  const continues = !equalBytes(first.slot, ZEROS)
  if (continues && (lastKey === undefined || !equalBytes(leaves[0]!.key, first.account))) {
    throw new RangeProofError('storage of no account')
  }
  let lastSlot: Uint8Array | undefined
  const proven = entries.map((entry, index): ProvenEntry => {
    const decoded = decodeAccount(entry.account)
    if (entry.code && (!equalBytes(keccak256(entry.code), decoded.codeHash) || entry.code.length === 0)) {
      throw new RangeProofError('code of another hash')
    }
    const slots = entry.slots.map(({ slot, value }): TrieLeaf => ({ key: keccak256(slot), value: encodeRlp(value) }))
    const from = index === 0 && continues ? first.slot : undefined
    const cut = isCut && index === entries.length - 1
    if (cut && slots.length === 0) throw new RangeProofError('storage cut before it began')
    if (cut) lastSlot = slots.at(-1)!.key
    if (from || cut) {
      verifyRange(decoded.storageRoot, from ?? ZEROS, cut ? lastSlot! : GREATEST, slots, chunk.storageProof)
    } else {
      requireSorted(slots)
      if (!equalBytes(rootOfLeaves(slots), decoded.storageRoot)) throw new RangeProofError('storage of another root')
    }
    return { ...entry, decoded, isContinued: from !== undefined }
  })
  if (isLast) return { entries: proven, next: undefined }
  const next = lastSlot
    ? { account: lastKey!, slot: following(lastSlot) }
    : { account: following(lastKey!), slot: ZEROS }
  if (!next.account || !next.slot) throw new RangeProofError('nothing can follow')
  return { entries: proven, next: { account: next.account, slot: next.slot } }
}

/** Whether code has to come along. */
export function hasCode({ codeHash }: Account): boolean {
  return !equalBytes(codeHash, EMPTY_CODE_HASH)
}

/** The next greater key; undefined behind the greatest. */
export function following(key: Uint8Array): Uint8Array | undefined {
  const next = key.slice()
  for (let i = next.length - 1; i >= 0; i--) {
    // Wraps to 0 behind 0xff, and carries.
    next[i]!++
    if (next[i] !== 0) return next
  }
  return undefined
}

function requireSorted(leaves: readonly TrieLeaf[]): void {
  for (let i = 1; i < leaves.length; i++) {
    if (compareBytes(leaves[i - 1]!.key, leaves[i]!.key) >= 0) throw new RangeProofError('slots out of order')
  }
}
