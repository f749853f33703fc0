import { createCipheriv, createDecipheriv, randomFillSync } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { ByteReader, ByteWriter, concatBytes, DecodeError, equalBytes, utf8Encode } from '@cumulus/bytes'
import { blake3 } from '@cumulus/hash'
import { decodeMutations, encodeMutations, type Mutation } from './mutation.ts'

/**
 * A *pack* is a segment under construction: small objects and all journal records of one owner, in order. While it is
 * open it is a *log*, byte for byte the same in the gateway's folder and on its seats:
 *
 *     header   64 B
 *     entry    crc32 u32 (of the rest) ‖ data length u32 ‖ record length u32 ‖ sequence u64 ‖ data ‖ record
 *     entry    …
 *
 * A log ends where an entry is cut short or its CRC is wrong: nobody was told that it is there. Sealed, the same
 * content becomes a segment, data together so that objects keep their positions, journal at the end:
 *
 *     data     of all entries, one after the other
 *     journal  entries: sequence u64 ‖ record length u32 ‖ record
 *     footer   64 B: magic 8 ‖ version u8 ‖ zero 7 ‖ territory u64 ‖ segment u64 ‖ data length u32 ‖ journal length u32 ‖ salt 16 ‖ zero 8
 *
 * The descriptor's journal digest is BLAKE3 of journal ‖ footer. A record is nonce 12 ‖ AES-256-GCM of mutations ‖ tag 16
 * under the pack's own key (from the owner's data key and the salt); segment and sequence are its associated data, so
 * that a record cannot be played in another place. Nonces are random: one pack has at most some 10⁵ records, which
 * makes a repetition 2⁻⁶³ likely.
 */
export interface PackHeader {
  readonly chainId: number
  readonly territory: bigint
  /** The owner's number of this segment. Packs of higher numbers were written later. */
  readonly segment: number
  readonly salt: Uint8Array
}

export const PACK_HEADER_BYTES = 64
export const PACK_FOOTER_BYTES = 64
export const ENTRY_HEADER_BYTES = 20
/** What an entry adds to the sealed pack besides data and record. */
export const JOURNAL_ENTRY_BYTES = 12
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** What encryption adds to the mutations of a transaction. */
export const RECORD_OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES

const LOG_MAGIC = utf8Encode('CMLSLOG1')
const PACK_MAGIC = utf8Encode('CMLSPAK1')
const VERSION = 1

export function encodePackHeader(header: PackHeader): Uint8Array {
  const body = new ByteWriter(PACK_HEADER_BYTES)
    .bytes(LOG_MAGIC)
    .u8(VERSION)
    .bytes(new Uint8Array(7))
    .u64(BigInt(header.chainId))
    .u64(header.territory)
    .u53(header.segment)
    .bytes(header.salt)
    .finish()
  return new ByteWriter(PACK_HEADER_BYTES).bytes(body).u32(crc32(body)).bytes(new Uint8Array(4)).finish()
}

/** @throws DecodeError */
export function decodePackHeader(bytes: Uint8Array): PackHeader {
  const reader = new ByteReader(plainBytes(bytes).subarray(0, PACK_HEADER_BYTES))
  if (!equalBytes(reader.bytes(8), LOG_MAGIC)) throw new DecodeError('not a pack log', 0)
  const version = reader.u8()
  if (version !== VERSION) throw new DecodeError(`pack log of unknown version ${version}`, 8)
  reader.bytes(7)
  const chainId = Number(reader.u64())
  const territory = reader.u64()
  const segment = reader.u53()
  const salt = reader.bytes(16).slice()
  if (reader.u32() !== crc32(bytes.subarray(0, 56))) throw new DecodeError('pack log header is damaged', 56)
  reader.bytes(4)
  reader.end()
  return { chainId, territory, segment, salt }
}

/** One entry in parts, so that the data is not copied before it is written. */
export function encodeEntry(sequence: number, data: readonly Uint8Array[], record: Uint8Array): Uint8Array[] {
  let dataLength = 0
  for (const part of data) dataLength += part.length
  const head = new ByteWriter(ENTRY_HEADER_BYTES).u32(0).u32(dataLength).u32(record.length).u53(sequence).finish()
  let crc = crc32(head.subarray(4))
  for (const part of data) crc = crc32(part, crc)
  crc = crc32(record, crc)
  new DataView(head.buffer).setUint32(0, crc, true)
  return [head, ...data, record]
}

export interface LogEntry {
  readonly sequence: number
  /** Where the data begins in the log. */
  readonly dataStart: number
  readonly dataLength: number
  readonly record: Uint8Array
}

/**
 * Entries of a log from `start` on, as far as they are whole. `end` is where the valid part ends: there the log goes on.
 * Data is not copied; records are views.
 */
export function parseEntries(log: Uint8Array, start = PACK_HEADER_BYTES): { entries: LogEntry[]; end: number } {
  const view = new DataView(log.buffer, log.byteOffset, log.byteLength)
  const entries: LogEntry[] = []
  let at = start
  while (at + ENTRY_HEADER_BYTES <= log.length) {
    const dataLength = view.getUint32(at + 4, true)
    const recordLength = view.getUint32(at + 8, true)
    const sequence = view.getBigUint64(at + 12, true)
    const end = at + ENTRY_HEADER_BYTES + dataLength + recordLength
    if (end > log.length || sequence > BigInt(Number.MAX_SAFE_INTEGER)) break
    if (crc32(log.subarray(at + 4, end)) !== view.getUint32(at, true)) break
    const dataStart = at + ENTRY_HEADER_BYTES
    entries.push({
      sequence: Number(sequence),
      dataStart,
      dataLength,
      record: log.subarray(dataStart + dataLength, end),
    })
    at = end
  }
  return { entries, end: at }
}

export function sealRecord(
  key: Uint8Array,
  segment: number,
  sequence: number,
  mutations: readonly Mutation[],
): Uint8Array {
  const plain = encodeMutations(mutations)
  const record = new Uint8Array(NONCE_BYTES + plain.length + TAG_BYTES)
  const nonce = record.subarray(0, NONCE_BYTES)
  randomFillSync(nonce)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  cipher.setAAD(associated(segment, sequence))
  record.set(cipher.update(plain), NONCE_BYTES)
  cipher.final()
  record.set(cipher.getAuthTag(), NONCE_BYTES + plain.length)
  return record
}

/** @throws DecodeError if the record is not one of this key, pack and sequence number */
export function openRecord(key: Uint8Array, segment: number, sequence: number, record: Uint8Array): Mutation[] {
  if (record.length < RECORD_OVERHEAD_BYTES) throw new DecodeError('journal record is too short', 0)
  let plain: Uint8Array
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, record.subarray(0, NONCE_BYTES))
    decipher.setAAD(associated(segment, sequence))
    decipher.setAuthTag(record.subarray(record.length - TAG_BYTES))
    plain = decipher.update(record.subarray(NONCE_BYTES, record.length - TAG_BYTES))
    decipher.final()
  } catch {
    throw new DecodeError('journal record does not verify', 0)
  }
  return decodeMutations(plainBytes(plain))
}

function associated(segment: number, sequence: number): Uint8Array {
  return new ByteWriter(16).u53(segment).u53(sequence).finish()
}

/** Bytes of the sealed pack for entries with these totals. */
export function sealedPackBytes(dataBytes: number, recordBytes: number, entryCount: number): number {
  return dataBytes + recordBytes + entryCount * JOURNAL_ENTRY_BYTES + PACK_FOOTER_BYTES
}

/** The sealed form of a log, written into `target` from its start; returns the length of the whole and the journal digest. */
export function sealPack(
  header: PackHeader,
  log: Uint8Array,
  entries: readonly LogEntry[],
  target: Uint8Array,
): { length: number; journalDigest: Uint8Array } {
  let at = 0
  for (const entry of entries) {
    target.set(log.subarray(entry.dataStart, entry.dataStart + entry.dataLength), at)
    at += entry.dataLength
  }
  const dataLength = at
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength)
  for (const entry of entries) {
    view.setBigUint64(at, BigInt(entry.sequence), true)
    view.setUint32(at + 8, entry.record.length, true)
    target.set(entry.record, at + JOURNAL_ENTRY_BYTES)
    at += JOURNAL_ENTRY_BYTES + entry.record.length
  }
  const footer = new ByteWriter(PACK_FOOTER_BYTES)
    .bytes(PACK_MAGIC)
    .u8(VERSION)
    .bytes(new Uint8Array(7))
    .u64(header.territory)
    .u53(header.segment)
    .u32(dataLength)
    .u32(at - dataLength)
    .bytes(header.salt)
    .bytes(new Uint8Array(8))
    .finish()
  target.set(footer, at)
  at += footer.length
  return { length: at, journalDigest: blake3(target.subarray(dataLength, at)) }
}

export interface PackFooter {
  readonly territory: bigint
  readonly segment: number
  readonly dataLength: number
  readonly journalLength: number
  readonly salt: Uint8Array
}

/** @throws DecodeError */
export function decodePackFooter(bytes: Uint8Array): PackFooter {
  const reader = new ByteReader(plainBytes(bytes))
  if (!equalBytes(reader.bytes(8), PACK_MAGIC)) throw new DecodeError('not a pack', 0)
  const version = reader.u8()
  if (version !== VERSION) throw new DecodeError(`pack of unknown version ${version}`, 8)
  reader.bytes(7)
  const footer = {
    territory: reader.u64(),
    segment: reader.u53(),
    dataLength: reader.u32(),
    journalLength: reader.u32(),
    salt: reader.bytes(16).slice(),
  }
  reader.bytes(8)
  reader.end()
  return footer
}

export interface JournalEntry {
  readonly sequence: number
  readonly record: Uint8Array
}

/**
 * Entries of a sealed pack's journal.
 *
 * @param journal all of it, without the footer
 * @throws DecodeError if it does not verify against the descriptor's digest or does not parse
 */
export function decodeJournal(journal: Uint8Array, footer: Uint8Array, journalDigest: Uint8Array): JournalEntry[] {
  if (!equalBytes(blake3(concatBytes(journal, footer)), journalDigest)) {
    throw new DecodeError('journal is not that of the descriptor', 0)
  }
  const reader = new ByteReader(journal)
  const entries: JournalEntry[] = []
  while (reader.remaining > 0) {
    const sequence = reader.u53()
    entries.push({ sequence, record: reader.bytes(reader.u32()) })
  }
  return entries
}

/** The same bytes without Node's `Buffer` methods: `slice` of a Buffer is a view, and would keep all of a log in memory. */
function plainBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** Name of a pack's log at its seats: not to be guessed apart from who knows the salt, not to be mixed up. */
export function logIdOf(header: PackHeader): Uint8Array {
  return blake3(encodePackHeader(header))
}
