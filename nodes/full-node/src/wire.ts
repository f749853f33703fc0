import { ByteReader, ByteWriter, DecodeError } from '@cumulus/bytes'
import { TRANSACTION_BYTES_MAX } from '@cumulus/ledger'

/**
 * What nodes of the chain say to each other in frames. Little-endian; the first byte of every meta is the version, 1.
 * Fields of the frame itself (`offset`, `hash`) are named in `platform/network/src/frame.ts`.
 */
const VERSION = 1

/** Blocks in one answer. */
export const BLOCKS_PER_REPLY_MAX = 256
/** Headers in one answer; certificates lag less than that behind ordering. */
export const HEADERS_PER_REPLY_MAX = 1_024
/** Bytes of one answer, of a frame body. */
export const REPLY_BYTES_MAX = 8 * 2 ** 20
/** Transactions in one message. */
export const TRANSACTIONS_PER_MESSAGE_MAX = 256
/** Longest time that a status may be waited for. */
export const STATUS_WAIT_MS_MAX = 30_000

/**
 * How far a node is.
 *
 *     offset  bytes  field
 *     0       1      version, 1
 *     1       1      flags: bit 0 = follows a committee's certificates, bit 1 = orders transactions
 *     2       6      0
 *     8       8      height of the head
 *     16      8      highest certified height; without a committee the head
 *     24      8      lowest height that it can serve
 *     32      32     hash of the head
 *     64      32     hash of the genesis block
 */
export interface ChainStatus {
  readonly isCertified: boolean
  readonly isOrdering: boolean
  readonly height: bigint
  readonly certified: bigint
  readonly lowest: bigint
  readonly headHash: Uint8Array
  readonly genesisHash: Uint8Array
}

export function encodeChainStatus(status: ChainStatus): Uint8Array {
  return new ByteWriter(96)
    .u8(VERSION)
    .u8((status.isCertified ? 1 : 0) | (status.isOrdering ? 2 : 0))
    .bytes(new Uint8Array(6))
    .u64(status.height)
    .u64(status.certified)
    .u64(status.lowest)
    .bytes(status.headHash)
    .bytes(status.genesisHash)
    .finish()
}

/** @throws DecodeError */
export function decodeChainStatus(meta: Uint8Array): ChainStatus {
  const reader = open(meta, 'a chain status')
  const flags = reader.u8()
  reader.bytes(6)
  const status: ChainStatus = {
    isCertified: (flags & 1) !== 0,
    isOrdering: (flags & 2) !== 0,
    height: reader.u64(),
    certified: reader.u64(),
    lowest: reader.u64(),
    headHash: reader.bytes(32).slice(),
    genesisHash: reader.bytes(32).slice(),
  }
  reader.end()
  if (status.certified > status.height || status.lowest > status.height) {
    throw new DecodeError('a chain status that contradicts itself', 8)
  }
  return status
}

/**
 * Asks for a status other than the one known, now or within `waitMs`.
 *
 *     0  1  version, 1
 *     1  3  0
 *     4  4  ms to wait while nothing changes; 0 = answer at once
 *     8  8  height known
 *     16 8  certified height known
 */
export interface StatusQuestion {
  readonly waitMs: number
  readonly height: bigint
  readonly certified: bigint
}

export function encodeStatusQuestion({ waitMs, height, certified }: StatusQuestion): Uint8Array {
  return new ByteWriter(24).u8(VERSION).bytes(new Uint8Array(3)).u32(waitMs).u64(height).u64(certified).finish()
}

/** @throws DecodeError */
export function decodeStatusQuestion(meta: Uint8Array): StatusQuestion {
  const reader = open(meta, 'a question for a status')
  reader.bytes(3)
  const question = { waitMs: reader.u32(), height: reader.u64(), certified: reader.u64() }
  reader.end()
  return question
}

/**
 * The most that an answer may hold.
 *
 *     0  1  version, 1
 *     1  3  0
 *     4  4  blocks or headers, at least 1
 *     8  4  bytes of the body; one block that has more comes alone
 */
export interface RangeLimits {
  readonly count: number
  readonly bytes: number
}

export function encodeRangeLimits({ count, bytes }: RangeLimits): Uint8Array {
  return new ByteWriter(12).u8(VERSION).bytes(new Uint8Array(3)).u32(count).u32(bytes).finish()
}

/** @throws DecodeError */
export function decodeRangeLimits(meta: Uint8Array): RangeLimits {
  const reader = open(meta, 'limits of a range')
  reader.bytes(3)
  const limits = { count: reader.u32(), bytes: reader.u32() }
  reader.end()
  if (limits.count === 0) throw new DecodeError('a range of nothing', 4)
  return limits
}

/**
 * A chain block on its way. Records follow each other in the body of an answer, by height:
 *
 *     0   4  bytes of the header, H
 *     4   4  bytes of the body, B; 0 in an answer to `get-headers`
 *     8   4  bytes of the certificate, C; 0 = none is kept for this height
 *     12  H  RLP of the header
 *         B  RLP list of raw transactions
 *         C  certificate
 *
 * The meta of the answer is the version and, at 4, the number of records (u32). Lengths come first, so that a record is
 * cut without decoding, and stored bytes go out as they are.
 */
export interface BlockRecord {
  readonly header: Uint8Array
  readonly body: Uint8Array
  readonly certificate: Uint8Array | undefined
}

const RECORD_HEADER_BYTES = 12
const NOTHING = new Uint8Array(0)

export function recordBytes({ header, body, certificate }: BlockRecord): number {
  return RECORD_HEADER_BYTES + header.length + body.length + (certificate?.length ?? 0)
}

export function encodeRecords(records: readonly BlockRecord[]): { meta: Uint8Array; body: Uint8Array } {
  const writer = new ByteWriter(records.reduce((sum, record) => sum + recordBytes(record), 0))
  for (const { header, body, certificate = NOTHING } of records) {
    writer.u32(header.length).u32(body.length).u32(certificate.length)
    writer.bytes(header).bytes(body).bytes(certificate)
  }
  return { meta: countMeta(records.length), body: writer.finish() }
}

/** Views of `body`. @throws DecodeError */
export function decodeRecords(meta: Uint8Array, body: Uint8Array, countMax: number): BlockRecord[] {
  const count = decodeCount(meta, countMax)
  const reader = new ByteReader(body)
  const records: BlockRecord[] = []
  for (let i = 0; i < count; i++) {
    const [headerBytes, bodyBytes, certificateBytes] = [reader.u32(), reader.u32(), reader.u32()]
    const header = reader.bytes(headerBytes)
    const body = reader.bytes(bodyBytes)
    records.push({ header, body, certificate: certificateBytes > 0 ? reader.bytes(certificateBytes) : undefined })
  }
  reader.end()
  return records
}

/** Raw transactions: length (u32) and bytes of each. */
export function encodeTransactions(raws: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter(raws.reduce((sum, raw) => sum + 4 + raw.length, 0))
  for (const raw of raws) writer.prefixed(raw)
  return writer.finish()
}

/** @throws DecodeError */
export function decodeTransactions(body: Uint8Array): Uint8Array[] {
  const reader = new ByteReader(body)
  const raws: Uint8Array[] = []
  while (reader.remaining > 0) {
    if (raws.length === TRANSACTIONS_PER_MESSAGE_MAX) throw new DecodeError('too many transactions', reader.offset)
    const length = reader.u32()
    if (length === 0 || length > TRANSACTION_BYTES_MAX) {
      throw new DecodeError(`a transaction of ${length} bytes`, reader.offset)
    }
    raws.push(reader.bytes(length))
  }
  return raws
}

/** What became of a transaction that was sent: one byte each in the meta of the answer, behind version and count. */
export const transactionVerdicts = ['taken', 'known', 'not-now', 'never'] as const
export type TransactionVerdict = (typeof transactionVerdicts)[number]

export function encodeVerdicts(verdicts: readonly TransactionVerdict[]): Uint8Array {
  const meta = new Uint8Array(8 + verdicts.length)
  meta.set(countMeta(verdicts.length))
  verdicts.forEach((verdict, index) => {
    meta[8 + index] = transactionVerdicts.indexOf(verdict)
  })
  return meta
}

/** @throws DecodeError */
export function decodeVerdicts(meta: Uint8Array): TransactionVerdict[] {
  const count = decodeCount(meta.subarray(0, 8), TRANSACTIONS_PER_MESSAGE_MAX)
  if (meta.length !== 8 + count) throw new DecodeError(`${count} verdicts in ${meta.length} bytes`, 8)
  return Array.from(meta.subarray(8), (code, index) => {
    const verdict = transactionVerdicts[code]
    if (verdict === undefined) throw new DecodeError(`no verdict ${code}`, 8 + index)
    return verdict
  })
}

export function countMeta(count: number): Uint8Array {
  return new ByteWriter(8).u8(VERSION).bytes(new Uint8Array(3)).u32(count).finish()
}

/** @throws DecodeError */
export function decodeCount(meta: Uint8Array, countMax: number): number {
  const reader = open(meta, 'a count')
  reader.bytes(3)
  const count = reader.u32()
  reader.end()
  if (count > countMax) throw new DecodeError(`${count} where ${countMax} may be`, 4)
  return count
}

/** A reader behind the version. */
function open(meta: Uint8Array, what: string): ByteReader {
  const reader = new ByteReader(meta)
  const version = reader.u8()
  if (version !== VERSION) throw new DecodeError(`${what} of version ${version}`, 0)
  return reader
}
