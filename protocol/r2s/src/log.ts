import { crc32 } from 'node:zlib'
import { ByteReader, ByteWriter, DecodeError } from '@cumulus/bytes'
import { type Block, type BlockRef, COIN_BYTES, DIGEST_BYTES, decodeBlock, encodeBlock, sized } from './block.ts'
import type { RoundCoin } from './coin.ts'
import type { Checkpoint } from './events.ts'

/**
 * SPEC 2.10: the log of a member is a sequence of records, own blocks, accepted blocks of others and coins in the order of
 * the effects that asked for them.
 *
 *   length u32 | CRC-32 of the length u32 | CRC-32 of what follows u32 | kind u8: 1 checkpoint, 2 block, 3 coin | body, length - 1 bytes
 *
 *   checkpoint: round u32 | gcRound u32 | authorCount u8 | ejectedFrom u32 each, 0 if not |
 *               outputCount u32 | author u8, round u32, digest 32 each
 *   coin:       round u32 | value 96
 *
 * Behind the last one there may be zeros: a length of 0 ends it.
 */
export type LogRecord =
  | { readonly kind: 'checkpoint'; readonly checkpoint: Checkpoint }
  | { readonly kind: 'block'; readonly block: Block }
  | { readonly kind: 'coin'; readonly coin: RoundCoin }

export interface LogContents {
  readonly checkpoint: Checkpoint | null
  readonly blocks: readonly Block[]
  readonly coins: readonly RoundCoin[]
  /** Cut the file here before writing on. */
  readonly validBytes: number
  /**
   * `torn`: the end of the last write did not arrive, as a crash leaves it; nothing of it was ever reported as durable.
   * `corrupt`: what was durable, or may have been, is damaged or gone, perhaps an own block. Start as `lost`.
   */
  readonly damage: 'none' | 'torn' | 'corrupt'
}

const RECORD_HEAD_BYTES = 12
const KIND_CHECKPOINT = 1
const KIND_BLOCK = 2
const KIND_COIN = 3
/** A block of 4 MiB and its header, or a checkpoint of 64 × 31 blocks. */
const RECORD_BYTES_MAX = 5 * 2 ** 20
/** What a disk writes as a whole or not at all. The log begins at a multiple of it in its file. */
const SECTOR_BYTES = 512
/** Fewer zeros than this may well be part of a record. */
const HOLE_BYTES_MIN = 16

export function encodeLogRecord(record: LogRecord): Uint8Array {
  const { kind, body } = bodyOf(record)
  const bytes = new Uint8Array(RECORD_HEAD_BYTES + 1 + body.length)
  bytes[RECORD_HEAD_BYTES] = kind
  bytes.set(body, RECORD_HEAD_BYTES + 1)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, body.length + 1, true)
  view.setUint32(4, crc32(bytes.subarray(0, 4)), true)
  view.setUint32(8, crc32(bytes.subarray(RECORD_HEAD_BYTES)), true)
  return bytes
}

function bodyOf(record: LogRecord): { kind: number; body: Uint8Array } {
  switch (record.kind) {
    case 'checkpoint':
      return { kind: KIND_CHECKPOINT, body: encodeCheckpoint(record.checkpoint) }
    case 'block':
      return { kind: KIND_BLOCK, body: encodeBlock(record.block) }
    case 'coin':
      return { kind: KIND_COIN, body: encodeCoin(record.coin) }
  }
}

/**
 * Reads a log as a crash, or an old disk, may have left it. Blocks are views of `bytes`.
 *
 * @param durableBytes so much of it is known to have been on the disk; all of it, if absent
 */
export function readLog(bytes: Uint8Array, durableBytes = bytes.length): LogContents {
  const blocks: Block[] = []
  const coins: RoundCoin[] = []
  let checkpoint: Checkpoint | null = null
  let at = 0
  const stop = (damage: LogContents['damage']): LogContents => ({ checkpoint, blocks, coins, validBytes: at, damage })
  for (let end = endOf(bytes, at); end !== undefined && end <= bytes.length; end = endOf(bytes, at)) {
    const record = bytes.subarray(at + RECORD_HEAD_BYTES, end)
    if (crc32(record) !== viewOf(bytes, at).getUint32(8, true)) break
    try {
      if (record[0] === KIND_BLOCK) blocks.push(decodeBlock(record.subarray(1)))
      else if (record[0] === KIND_COIN) coins.push(decodeCoin(record.subarray(1)))
      else if (record[0] === KIND_CHECKPOINT) checkpoint = decodeCheckpoint(record.subarray(1))
      else return stop('corrupt')
    } catch (error) {
      if (error instanceof DecodeError) return stop('corrupt')
      throw error
    }
    at = end
  }
  if (at < durableBytes) return stop('corrupt')
  if (isZero(bytes, at, bytes.length)) return stop('none')
  // Where all of a record is there, and yet it is wrong, it may have been durable, and sent, and damaged since. And before a whole
  // one, which may be of a later write, a sector may be gone that was there.
  const isTorn = hasHole(bytes, at, endOf(bytes, at) ?? at + RECORD_HEAD_BYTES) && !isFollowed(bytes, at)
  return stop(isTorn ? 'torn' : 'corrupt')
}

/** Where the record ends, which may be beyond the log's end; undefined if there is none, or its head is not whole. */
function endOf(bytes: Uint8Array, at: number): number | undefined {
  if (bytes.length - at < RECORD_HEAD_BYTES) return undefined
  const view = viewOf(bytes, at)
  const length = view.getUint32(0, true)
  if (length < 1 || length > RECORD_BYTES_MAX) return undefined
  return crc32(bytes.subarray(at, at + 4)) === view.getUint32(4, true) ? at + RECORD_HEAD_BYTES + length : undefined
}

/**
 * Whether a sector with bytes of `from` to `to` was not written. Where there was nothing before, it is zeros from there on, or
 * not there. (A payload may have a sector of zeros, too: then the last record, damaged elsewhere, is taken for torn, unless it is
 * known to have been durable.)
 */
function hasHole(bytes: Uint8Array, from: number, to: number): boolean {
  if (to > bytes.length) return true
  for (let start = from; start < to; ) {
    const end = Math.min(bytes.length, start - (start % SECTOR_BYTES) + SECTOR_BYTES)
    if (end - start >= HOLE_BYTES_MIN && isZero(bytes, start, end)) return true
    start = end
  }
  return false
}

/** Whether there is a whole record anywhere behind the one at `at`. Costs some 10 ns a byte, and less for zeros. */
function isFollowed(bytes: Uint8Array, at: number): boolean {
  const view = viewOf(bytes, 0)
  for (let start = at + 1; start + RECORD_HEAD_BYTES < bytes.length; start++) {
    const length = view.getUint32(start, true)
    if (length < 1 || length > RECORD_BYTES_MAX) continue
    const end = endOf(bytes, start)
    if (end === undefined || end > bytes.length) continue
    if (crc32(bytes.subarray(start + RECORD_HEAD_BYTES, end)) === view.getUint32(start + 8, true)) return true
  }
  return false
}

function viewOf(bytes: Uint8Array, at: number): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset + at, bytes.length - at)
}

export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  const writer = new ByteWriter(4096).u32(checkpoint.round).u32(checkpoint.gcRound)
  writer.u8(checkpoint.ejectedFrom.length)
  for (const round of checkpoint.ejectedFrom) writer.u32(round ?? 0)
  writer.u32(checkpoint.output.length)
  for (const { author, round, digest } of checkpoint.output) writer.u8(author).u32(round).bytes(digest)
  return writer.finish()
}

/** @throws DecodeError */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  const reader = new ByteReader(bytes)
  const round = reader.u32()
  const gcRound = reader.u32()
  const ejectedFrom = Array.from({ length: reader.u8() }, () => reader.u32() || null)
  const count = reader.u32()
  if (count * (5 + DIGEST_BYTES) !== reader.remaining) throw new DecodeError(`${count} blocks`, reader.offset - 4)
  const output: BlockRef[] = []
  for (let i = 0; i < count; i++) {
    const author = reader.u8()
    const blockRound = reader.u32()
    output.push({ author, round: blockRound, digest: reader.bytes(DIGEST_BYTES) })
  }
  reader.end()
  return { round, gcRound, output, ejectedFrom }
}

function encodeCoin({ round, value }: RoundCoin): Uint8Array {
  return new ByteWriter(4 + COIN_BYTES).u32(round).bytes(sized(value, COIN_BYTES)).finish()
}

function decodeCoin(bytes: Uint8Array): RoundCoin {
  const reader = new ByteReader(bytes)
  const coin = { round: reader.u32(), value: new Uint8Array(reader.bytes(COIN_BYTES)) }
  reader.end()
  return coin
}

function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i] !== 0) return false
  return true
}
