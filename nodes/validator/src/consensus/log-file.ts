import { crc32 } from 'node:zlib'
import { equalBytes, utf8Encode } from '@cumulus/bytes'
import { type LogContents, readLog } from '@cumulus/r2s'
import { ConsensusError } from './consensus-error.ts'

/** Whose log it is. */
export interface LogOwner {
  readonly chainId: bigint
  readonly era: number
  readonly member: number
  readonly peerKey: Uint8Array
}

/*
 * The file, little-endian:
 *
 *   offset  size  field
 *        0     8  "CUMWAL" 2 0
 *        8     8  chainId
 *       16     4  era
 *       20     4  member
 *       24     8  height
 *       32     4  CRC-32 of all before
 *      512    20  mark
 *     1024    20  mark
 *     1536        records as @cumulus/r2s draws them, then zeros for those to come
 *
 * and a mark, of which the one with the higher number counts:
 *
 *        0     8  number; an even one stands at 512, an odd one at 1024
 *        8     8  durableBytes of records when the mark was written
 *       16     4  CRC-32 of all before
 *
 * A mark lies within a sector, so a crash leaves the old or the new one: two valid ones are always there. They may be old.
 */
const MAGIC = utf8Encode('CUMWAL')
const VERSION = 2
const OWNER_BYTES = 24
const CHECKED_BYTES = 32
const MARK_OFFSET = 512
const SECTOR_BYTES = 512
const MARK_BYTES = 20
/** Here the records begin. */
export const LOG_HEAD_BYTES = 1536

/** Says that so many bytes of records were on the disk: what is missing of them was not torn off by a crash. */
export interface LogMark {
  readonly number: number
  readonly durableBytes: number
}

/** What of a log can be relied upon, or why nothing can. */
export type LogFile =
  | ({ readonly kind: 'log'; readonly height: bigint; readonly mark: LogMark } & Omit<LogContents, 'damage'> & {
        readonly damage: 'none' | 'torn'
      })
  | { readonly kind: 'damaged'; readonly reason: string }

export function offsetOfMark({ number }: LogMark): number {
  return MARK_OFFSET + (number % 2) * SECTOR_BYTES
}

export function encodeMark({ number, durableBytes }: LogMark): Uint8Array {
  const bytes = new Uint8Array(MARK_BYTES)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, BigInt(number), true)
  view.setBigUint64(8, BigInt(durableBytes), true)
  view.setUint32(16, crc32(bytes.subarray(0, 16)), true)
  return bytes
}

/** Head of a file with so many bytes of records, all of them durable before anybody sees the file. */
export function encodeLogHead(owner: Omit<LogOwner, 'peerKey'>, height: bigint, recordBytes: number): Uint8Array {
  const head = new Uint8Array(LOG_HEAD_BYTES)
  const view = new DataView(head.buffer)
  head.set(ownerBytes(owner))
  view.setBigUint64(OWNER_BYTES, height, true)
  view.setUint32(CHECKED_BYTES, crc32(head.subarray(0, CHECKED_BYTES)), true)
  for (const number of [0, 1]) {
    const mark = { number, durableBytes: recordBytes }
    head.set(encodeMark(mark), offsetOfMark(mark))
  }
  return head
}

/**
 * Reads a log file, whatever happened to it. Blocks are views of `bytes`.
 *
 * @throws ConsensusError OTHER_LOG
 */
export function decodeLogFile(bytes: Uint8Array, owner: Omit<LogOwner, 'peerKey'>): LogFile {
  // It came into being by a rename, so a crash cannot have cut it here.
  if (bytes.length < LOG_HEAD_BYTES || !equalBytes(bytes.subarray(0, MAGIC.length), MAGIC)) {
    return { kind: 'damaged', reason: 'the log has no head' }
  }
  const version = bytes[MAGIC.length]!
  if (version !== VERSION) {
    throw new ConsensusError('OTHER_LOG', `the log is of version ${version}; this is version ${VERSION}`, { version })
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (crc32(bytes.subarray(0, CHECKED_BYTES)) !== view.getUint32(CHECKED_BYTES, true)) {
    return { kind: 'damaged', reason: 'the head of the log is damaged' }
  }
  if (!equalBytes(bytes.subarray(0, OWNER_BYTES), ownerBytes(owner))) {
    throw new ConsensusError('OTHER_LOG', 'the log is of another chain, era or seat')
  }
  const marks = [decodeMark(bytes, 0), decodeMark(bytes, 1)]
  // Perhaps it was the newer one: what it vouched for is not known any more.
  if (!marks[0] || !marks[1]) return { kind: 'damaged', reason: 'a mark of the log is damaged' }
  const mark = marks[0].number > marks[1].number ? marks[0] : marks[1]
  const { damage, ...contents } = readLog(bytes.subarray(LOG_HEAD_BYTES), mark.durableBytes)
  if (damage === 'corrupt') {
    return { kind: 'damaged', reason: `the log is damaged at byte ${LOG_HEAD_BYTES + contents.validBytes}` }
  }
  return { kind: 'log', height: view.getBigUint64(OWNER_BYTES, true), mark, damage, ...contents }
}

function decodeMark(bytes: Uint8Array, parity: number): LogMark | undefined {
  const start = bytes.byteOffset + MARK_OFFSET + parity * SECTOR_BYTES
  const view = new DataView(bytes.buffer, start, MARK_BYTES)
  if (crc32(new Uint8Array(bytes.buffer, start, MARK_BYTES - 4)) !== view.getUint32(16, true)) return undefined
  const [number, durableBytes] = [Number(view.getBigUint64(0, true)), Number(view.getBigUint64(8, true))]
  return number % 2 === parity ? { number, durableBytes } : undefined
}

function ownerBytes({ chainId, era, member }: Omit<LogOwner, 'peerKey'>): Uint8Array {
  const bytes = new Uint8Array(OWNER_BYTES)
  const view = new DataView(bytes.buffer)
  bytes.set(MAGIC)
  bytes[MAGIC.length] = VERSION
  view.setBigUint64(8, chainId, true)
  view.setUint32(16, era, true)
  view.setUint32(20, member, true)
  return bytes
}
