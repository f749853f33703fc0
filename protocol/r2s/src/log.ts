import { crc32 } from 'node:zlib'
import { ByteReader, ByteWriter, DecodeError } from '@cumulus/bytes'
import { type Block, type BlockRef, DIGEST_BYTES, decodeBlock, encodeBlock } from './block.ts'
import type { Checkpoint } from './events.ts'

/**
 * SPEC 2.10: the log of a member is a sequence of records, own blocks and accepted blocks of others in the order of the
 * effects that asked for them.
 *
 *   length u32 | CRC-32 of what follows u32 | kind u8: 1 checkpoint, 2 block | body, length - 1 bytes
 *
 *   checkpoint: round u32 | gcRound u32 | authorCount u8 | ejectedFrom u32 each, 0 if not |
 *               outputCount u32 | author u8, round u32, digest 32 each
 */
export type LogRecord =
  | { readonly kind: 'checkpoint'; readonly checkpoint: Checkpoint }
  | { readonly kind: 'block'; readonly block: Block }

export interface LogContents {
  readonly checkpoint: Checkpoint | null
  readonly blocks: readonly Block[]
  /** Cut the file here before writing on. */
  readonly validBytes: number
  /**
   * `torn`: the last record stops short, as a power cut leaves it; it was never durable. `corrupt`: a record in the midst
   * does not match its checksum, so something durable is gone, perhaps an own block. Start as `lost`.
   */
  readonly damage: 'none' | 'torn' | 'corrupt'
}

const RECORD_HEAD_BYTES = 8
const KIND_CHECKPOINT = 1
const KIND_BLOCK = 2
/** A block of 4 MiB and its header, or a checkpoint of 64 × 31 blocks. */
const RECORD_BYTES_MAX = 5 * 2 ** 20

export function encodeLogRecord(record: LogRecord): Uint8Array {
  const body = record.kind === 'block' ? encodeBlock(record.block) : encodeCheckpoint(record.checkpoint)
  const bytes = new Uint8Array(RECORD_HEAD_BYTES + 1 + body.length)
  bytes[RECORD_HEAD_BYTES] = record.kind === 'block' ? KIND_BLOCK : KIND_CHECKPOINT
  bytes.set(body, RECORD_HEAD_BYTES + 1)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, body.length + 1, true)
  view.setUint32(4, crc32(bytes.subarray(RECORD_HEAD_BYTES)), true)
  return bytes
}

/** Reads a log as a crash may have left it. Blocks are views of `bytes`. */
export function readLog(bytes: Uint8Array): LogContents {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const blocks: Block[] = []
  let checkpoint: Checkpoint | null = null
  let at = 0
  const stop = (damage: LogContents['damage']): LogContents => ({ checkpoint, blocks, validBytes: at, damage })
  while (at < bytes.length) {
    if (bytes.length - at < RECORD_HEAD_BYTES) return stop('torn')
    const length = view.getUint32(at, true)
    const end = at + RECORD_HEAD_BYTES + length
    if (length < 1 || length > RECORD_BYTES_MAX) return stop(isZeroFrom(bytes, at) ? 'torn' : 'corrupt')
    if (end > bytes.length) return stop('torn')
    const record = bytes.subarray(at + RECORD_HEAD_BYTES, end)
    if (crc32(record) !== view.getUint32(at + 4, true)) {
      return stop(end === bytes.length || isZeroFrom(bytes, end) ? 'torn' : 'corrupt')
    }
    try {
      if (record[0] === KIND_BLOCK) blocks.push(decodeBlock(record.subarray(1)))
      else if (record[0] === KIND_CHECKPOINT) checkpoint = decodeCheckpoint(record.subarray(1))
      else return stop('corrupt')
    } catch (error) {
      if (error instanceof DecodeError) return stop('corrupt')
      throw error
    }
    at = end
  }
  return stop('none')
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

function isZeroFrom(bytes: Uint8Array, start: number): boolean {
  for (let i = start; i < bytes.length; i++) if (bytes[i] !== 0) return false
  return true
}
