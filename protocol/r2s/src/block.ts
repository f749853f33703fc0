import { ByteReader, ByteWriter, concatBytes, DecodeError, equalBytes, utf8Encode } from '@cumulus/bytes'
import { sha256 } from '@cumulus/hash'
import { COMMITTEE_SIZE_MAX } from './committee.ts'
import { HEADER_BYTES_MAX, HEADER_VOTES_MAX, PAYLOAD_BYTES_LIMIT, TRANSACTION_BYTES_MAX } from './r2s-params.ts'

/** SPEC 2.1: what members sign, send and store. "Block" is a block of the DAG here; say *chain block* for the other. */

export const BLOCK_VERSION = 1
export const DIGEST_BYTES = 32
export const SIGNATURE_BYTES = 64
/** A compressed G2 point. */
export const COIN_SHARE_BYTES = 96
/** Likewise: a coin that was summed is a signature of the committee's key. */
export const COIN_BYTES = 96
const VOTE_SIGNATURE_BYTES = 96

/** Names one block. The digest alone would do; author and round make it quick to find. */
export interface BlockRef {
  readonly author: number
  readonly round: number
  readonly digest: Uint8Array
}

export function refOf({ header: { author, round }, digest }: Block): BlockRef {
  return { author, round, digest }
}

/** A member's BLS vote for the header of an executed chain block. Opaque to ordering. */
export interface HeaderVote {
  readonly height: bigint
  readonly headerHash: Uint8Array
  readonly signature: Uint8Array
}

/** Two digests one author signed for one round: proof of equivocation that needs neither of the two headers. */
export interface Evidence {
  readonly author: number
  readonly round: number
  readonly firstDigest: Uint8Array
  readonly firstSignature: Uint8Array
  readonly secondDigest: Uint8Array
  readonly secondSignature: Uint8Array
}

export interface Header {
  readonly chainId: bigint
  readonly era: number
  readonly round: number
  readonly author: number
  readonly tsMs: number
  /** Mask of the authors with two blocks of one round in this block's cone (SPEC 2.2). */
  readonly exposed: number
  /** Order is content: own previous block, then the round before by author, then older ones by author. */
  readonly parents: readonly BlockRef[]
  /** Share of coin(round - (w-1)). */
  readonly coinShare: Uint8Array | null
  readonly votes: readonly HeaderVote[]
  readonly evidence: Evidence | null
  readonly payloadHash: Uint8Array
  readonly payloadBytes: number
  readonly txCount: number
}

/** A signed header with its payload. Immutable once made: nodes of a simulation share one. */
export interface Block {
  readonly header: Header
  readonly headerBytes: Uint8Array
  /** SHA-256 of `headerBytes`. The signature is outside, so that signing again makes no second block. */
  readonly digest: Uint8Array
  readonly signature: Uint8Array
  readonly payload: Uint8Array
}

/*
 * Header, little-endian. Everything of fixed size comes first, so that a reader knows the length from byte 68 on.
 *
 *   offset  size  field
 *        0     1  version = 1
 *        1     8  chainId
 *        9     4  era
 *       13     4  round
 *       17     1  author
 *       18     6  tsMs
 *       24     4  exposed
 *       28    32  payloadHash
 *       60     4  payloadBytes
 *       64     2  txCount
 *       66     1  flags: bit 0 coin share, bit 1 evidence, bit 2 last own block out of reach
 *       67     1  parentCount, 1..62
 *       68     1  voteCount, 0..8
 *       69     -  parents, 34 each: author 1 | roundDelta 1 | digest 32
 *        -    96  coin share, if bit 0
 *        -     -  votes, 136 each: height 8 | headerHash 32 | signature 96
 *        -   197  evidence, if bit 1: author 1 | round 4 | digest 32, signature 64 | digest 32, signature 64
 *
 * roundDelta is the block's round minus the parent's, 1..255. Bit 2 says that the author's previous block is further
 * down than that, or lost: its first parent is then the author's genesis block, written with delta 0.
 */
const FIXED_BYTES = 69
const FLAG_COIN_SHARE = 1
const FLAG_EVIDENCE = 2
const FLAG_OUT_OF_REACH = 4
const DELTA_MAX = 255

export function encodeHeader(header: Header): Uint8Array {
  const { parents, coinShare, evidence } = header
  const outOfReach = parents.length > 0 && header.round - parents[0]!.round > DELTA_MAX
  const writer = new ByteWriter(FIXED_BYTES + parents.length * 34 + 96 + header.votes.length * 136 + 197)
  writer.u8(BLOCK_VERSION).u64(header.chainId).u32(header.era).u32(header.round).u8(header.author)
  writer.u32(header.tsMs % 2 ** 32).u16(Math.floor(header.tsMs / 2 ** 32))
  writer
    .u32(header.exposed >>> 0)
    .bytes(sized(header.payloadHash, DIGEST_BYTES))
    .u32(header.payloadBytes)
  writer.u16(header.txCount)
  writer.u8((coinShare ? FLAG_COIN_SHARE : 0) | (evidence ? FLAG_EVIDENCE : 0) | (outOfReach ? FLAG_OUT_OF_REACH : 0))
  writer.u8(parents.length).u8(header.votes.length)
  for (let i = 0; i < parents.length; i++) {
    const parent = parents[i]!
    const delta = i === 0 && outOfReach && parent.round === 0 ? 0 : header.round - parent.round
    writer.u8(parent.author).u8(delta).bytes(sized(parent.digest, DIGEST_BYTES))
  }
  if (coinShare) writer.bytes(sized(coinShare, COIN_SHARE_BYTES))
  for (const vote of header.votes) {
    writer.u64(vote.height).bytes(sized(vote.headerHash, DIGEST_BYTES))
    writer.bytes(sized(vote.signature, VOTE_SIGNATURE_BYTES))
  }
  if (evidence) writeEvidence(writer, evidence)
  return writer.finish()
}

/**
 * @throws DecodeError if the bytes are not exactly one header. Whether it is *valid* is `judgeHeader`'s question;
 *   only what the layout itself promises is checked here, so that every header has one encoding.
 */
export function decodeHeader(bytes: Uint8Array): Header {
  if (bytes.length > HEADER_BYTES_MAX) throw new DecodeError('header over 8 KiB', 0)
  const reader = new ByteReader(bytes)
  const version = reader.u8()
  if (version !== BLOCK_VERSION) throw new DecodeError(`version ${version} of blocks is unknown`, 0)
  const chainId = reader.u64()
  const era = reader.u32()
  const round = reader.u32()
  const author = reader.u8()
  const tsLow = reader.u32()
  const tsMs = reader.u16() * 2 ** 32 + tsLow
  const exposed = reader.u32()
  const payloadHash = reader.bytes(DIGEST_BYTES)
  const payloadBytes = reader.u32()
  const txCount = reader.u16()
  const flags = reader.u8()
  if (flags > 7) throw new DecodeError(`unknown flags ${flags}`, reader.offset - 1)
  const parentCount = reader.u8()
  const voteCount = reader.u8()
  if (parentCount < 1 || parentCount > 2 * COMMITTEE_SIZE_MAX) {
    throw new DecodeError(`${parentCount} parents`, reader.offset - 2)
  }
  if (voteCount > HEADER_VOTES_MAX) throw new DecodeError(`${voteCount} votes`, reader.offset - 1)

  const outOfReach = (flags & FLAG_OUT_OF_REACH) !== 0
  const parents: BlockRef[] = []
  for (let i = 0; i < parentCount; i++) {
    const at = reader.offset
    const parentAuthor = reader.u8()
    const delta = reader.u8()
    const reset = i === 0 && outOfReach
    if ((delta === 0) !== reset || delta > round || (reset && round <= DELTA_MAX)) {
      throw new DecodeError(`parent ${delta} rounds below round ${round}`, at)
    }
    parents.push({ author: parentAuthor, round: reset ? 0 : round - delta, digest: reader.bytes(DIGEST_BYTES) })
  }
  const coinShare = flags & FLAG_COIN_SHARE ? reader.bytes(COIN_SHARE_BYTES) : null
  const votes: HeaderVote[] = []
  for (let i = 0; i < voteCount; i++) {
    const height = reader.u64()
    votes.push({ height, headerHash: reader.bytes(DIGEST_BYTES), signature: reader.bytes(VOTE_SIGNATURE_BYTES) })
  }
  const evidence = flags & FLAG_EVIDENCE ? readEvidence(reader) : null
  reader.end()
  return {
    chainId,
    era,
    round,
    author,
    tsMs,
    exposed,
    parents,
    coinShare,
    votes,
    evidence,
    payloadHash,
    payloadBytes,
    txCount,
  }
}

export function encodeBlock(block: Block): Uint8Array {
  return concatBytes(
    new ByteWriter(16).u16(block.headerBytes.length).finish(),
    block.headerBytes,
    block.signature,
    block.payload,
  )
}

/**
 * u16 header length | header | signature 64 | payload, whose length the header tells. The payload is checked against
 * its hash here: from then on a `Block` is whole. Views of `reader`'s bytes, nothing is copied.
 *
 * @throws DecodeError
 */
export function readBlock(reader: ByteReader): Block {
  const at = reader.offset
  const headerLength = reader.u16()
  if (headerLength > HEADER_BYTES_MAX) throw new DecodeError(`header of ${headerLength} bytes`, at)
  const headerBytes = reader.bytes(headerLength)
  const header = decodeHeader(headerBytes)
  const signature = reader.bytes(SIGNATURE_BYTES)
  if (header.payloadBytes > PAYLOAD_BYTES_LIMIT) throw new DecodeError(`payload of ${header.payloadBytes} bytes`, at)
  const payload = reader.bytes(header.payloadBytes)
  if (!equalBytes(sha256(payload), header.payloadHash)) throw new DecodeError('payload of another block', at)
  return { header, headerBytes, digest: sha256(headerBytes), signature, payload }
}

/** @throws DecodeError */
export function decodeBlock(bytes: Uint8Array): Block {
  const reader = new ByteReader(bytes)
  const block = readBlock(reader)
  reader.end()
  return block
}

/** Signs a header and puts the block together. */
export function sealBlock(
  header: Omit<Header, 'payloadHash' | 'payloadBytes'>,
  payload: Uint8Array,
  sign: (message: Uint8Array) => Uint8Array,
): Block {
  const whole: Header = { ...header, payloadHash: payloadHashOf(payload), payloadBytes: payload.length }
  const headerBytes = encodeHeader(whole)
  const digest = sha256(headerBytes)
  return { header: whole, headerBytes, digest, signature: sign(signedMessage(whole, digest)), payload }
}

const EMPTY_HASH = sha256(new Uint8Array(0))

function payloadHashOf(payload: Uint8Array): Uint8Array {
  return payload.length === 0 ? EMPTY_HASH : sha256(payload)
}

const SIGNING_DOMAIN = utf8Encode('cumulus/dag/1')

/**
 * What an author signs: domain 13 | chainId 8 | era 4 | round 4 | author 1 | digest 32. Place and digest, not the
 * header: two of these with different digests prove equivocation in 197 bytes, and evidence never nests.
 */
export function signedMessage(
  place: { readonly chainId: bigint; readonly era: number; readonly round: number; readonly author: number },
  digest: Uint8Array,
): Uint8Array {
  const message = new Uint8Array(62)
  const view = new DataView(message.buffer)
  message.set(SIGNING_DOMAIN)
  view.setBigUint64(13, place.chainId, true)
  view.setUint32(21, place.era, true)
  view.setUint32(25, place.round, true)
  message[29] = place.author
  message.set(digest, 30)
  return message
}

const GENESIS_DOMAIN = utf8Encode('cumulus/dag/genesis/1')

/** Digest of the virtual block of round 0 that every member's chain starts from. Never signed, never sent. */
export function genesisDigest(eraAnchor: Uint8Array, author: number): Uint8Array {
  return sha256(concatBytes(GENESIS_DOMAIN, eraAnchor, Uint8Array.of(author)))
}

/** Transactions, each u32 length | bytes. */
export function encodePayload(transactions: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter(1024)
  for (const transaction of transactions) writer.prefixed(transaction)
  return writer.finish()
}

/**
 * Transactions of a block. Members do not judge payloads while ordering, so a payload that is not what its header
 * says is agreed on all the same; every node then reads no transaction from it.
 */
export function transactionsOf(block: Block): Uint8Array[] {
  return transactionsIn(block.payload, block.header.txCount)
}

/** The same of a payload alone. */
export function transactionsIn(payload: Uint8Array, txCount: number): Uint8Array[] {
  const reader = new ByteReader(payload)
  const transactions: Uint8Array[] = []
  try {
    for (let i = 0; i < txCount; i++) transactions.push(reader.prefixed(TRANSACTION_BYTES_MAX))
    reader.end()
    return transactions
  } catch (error) {
    if (error instanceof DecodeError) return []
    throw error
  }
}

function writeEvidence(writer: ByteWriter, evidence: Evidence): void {
  writer.u8(evidence.author).u32(evidence.round)
  writer.bytes(sized(evidence.firstDigest, DIGEST_BYTES)).bytes(sized(evidence.firstSignature, SIGNATURE_BYTES))
  writer.bytes(sized(evidence.secondDigest, DIGEST_BYTES)).bytes(sized(evidence.secondSignature, SIGNATURE_BYTES))
}

function readEvidence(reader: ByteReader): Evidence {
  const author = reader.u8()
  const round = reader.u32()
  const firstDigest = reader.bytes(DIGEST_BYTES)
  const firstSignature = reader.bytes(SIGNATURE_BYTES)
  const secondDigest = reader.bytes(DIGEST_BYTES)
  const secondSignature = reader.bytes(SIGNATURE_BYTES)
  return { author, round, firstDigest, firstSignature, secondDigest, secondSignature }
}

/** @throws RangeError where bytes of fixed size have another: written down, they could not be read again */
export function sized(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length !== length) throw new RangeError(`${bytes.length} bytes where ${length} belong`)
  return bytes
}
