import { ByteReader, ByteWriter, DecodeError } from '@cumulus/bytes'
import { type Block, type BlockRef, COIN_BYTES, DIGEST_BYTES, encodeBlock, readBlock, sized } from './block.ts'
import type { RoundCoin } from './coin.ts'

/** Refs in one question, and blocks in one answer. */
export const FETCH_REFS_MAX = 256
export const REPLY_BLOCKS_MAX = 4096
/** Coins in one question, and in one answer. */
export const COINS_MAX = 64

/** What members say to each other (SPEC 2.3, 2.10, 3). The link tells who speaks. */
export type Message =
  /** A new block of the speaker, or one it passes on. */
  | { readonly kind: 'block'; readonly block: Block }
  /** Wants these blocks with all their ancestors but those it has: by author, everything up to that round. */
  | { readonly kind: 'fetch'; readonly wanted: readonly BlockRef[]; readonly have: readonly number[] }
  /** Ancestors first. Nothing at or below `gcRound` can be had from the speaker. */
  | { readonly kind: 'blocks'; readonly blocks: readonly Block[]; readonly gcRound: number }
  /** On connection: the highest round it has from you. */
  | { readonly kind: 'hello'; readonly round: number }
  /** It lost its log: what is its newest block, and what is yours? */
  | { readonly kind: 'ask-newest' }
  | { readonly kind: 'newest'; readonly yours: Block | null; readonly mine: Block | null }
  /** Wants the coins of these rounds, ascending. */
  | { readonly kind: 'ask-coins'; readonly rounds: readonly number[] }
  /** Those that are known of them, ascending. */
  | { readonly kind: 'coins'; readonly coins: readonly RoundCoin[] }

/*
 * kind u8, then
 *   1 block      block
 *   2 fetch      refCount u16 | refs: author u8, round u32, digest 32 | authorCount u8 | rounds u32
 *   3 blocks     gcRound u32 | blockCount u16 | blocks
 *   4 hello      round u32
 *   5 ask-newest
 *   6 newest     flags u8: bit 0 yours, bit 1 mine | yours | mine
 *   7 ask-coins  count u8, 1..64 | rounds u32
 *   8 coins      count u8, 1..64 | round u32, value 96 each
 */
const KINDS = ['block', 'fetch', 'blocks', 'hello', 'ask-newest', 'newest', 'ask-coins', 'coins'] as const

export function encodeMessage(message: Message): Uint8Array {
  const writer = new ByteWriter(1024).u8(KINDS.indexOf(message.kind) + 1)
  switch (message.kind) {
    case 'block':
      writer.bytes(encodeBlock(message.block))
      break
    case 'fetch':
      writer.u16(message.wanted.length)
      for (const { author, round, digest } of message.wanted) writer.u8(author).u32(round).bytes(digest)
      writer.u8(message.have.length)
      for (const round of message.have) writer.u32(round)
      break
    case 'blocks':
      writer.u32(message.gcRound).u16(message.blocks.length)
      for (const block of message.blocks) writer.bytes(encodeBlock(block))
      break
    case 'hello':
      writer.u32(message.round)
      break
    case 'ask-newest':
      break
    case 'newest':
      writer.u8((message.yours ? 1 : 0) | (message.mine ? 2 : 0))
      if (message.yours) writer.bytes(encodeBlock(message.yours))
      if (message.mine) writer.bytes(encodeBlock(message.mine))
      break
    case 'ask-coins':
      writer.u8(message.rounds.length)
      for (const round of message.rounds) writer.u32(round)
      break
    case 'coins':
      writer.u8(message.coins.length)
      for (const { round, value } of message.coins) writer.u32(round).bytes(sized(value, COIN_BYTES))
  }
  return writer.finish()
}

/**
 * Blocks are views of `bytes`.
 *
 * @throws DecodeError if the bytes are not exactly one message between members of a committee of `size`
 */
export function decodeMessage(bytes: Uint8Array, size: number): Message {
  const reader = new ByteReader(bytes)
  const kind = KINDS[reader.u8() - 1]
  const message = kind && readers[kind](reader, size)
  if (!message) throw new DecodeError('unknown kind of message', 0)
  reader.end()
  return message
}

const readers: Record<Message['kind'], (reader: ByteReader, size: number) => Message> = {
  block: (reader) => ({ kind: 'block', block: readBlock(reader) }),
  fetch: (reader, size) => {
    const count = reader.u16()
    if (count < 1 || count > FETCH_REFS_MAX) throw new DecodeError(`${count} blocks wanted`, reader.offset - 2)
    const wanted: BlockRef[] = []
    for (let i = 0; i < count; i++) {
      const author = reader.u8()
      if (author >= size) throw new DecodeError(`author ${author}`, reader.offset - 1)
      const round = reader.u32()
      wanted.push({ author, round, digest: reader.bytes(DIGEST_BYTES) })
    }
    if (reader.u8() !== size) throw new DecodeError('rounds of another committee', reader.offset - 1)
    return { kind: 'fetch', wanted, have: Array.from({ length: size }, () => reader.u32()) }
  },
  blocks: (reader) => {
    const gcRound = reader.u32()
    const count = reader.u16()
    if (count > REPLY_BLOCKS_MAX) throw new DecodeError(`${count} blocks`, reader.offset - 2)
    const blocks: Block[] = []
    for (let i = 0; i < count; i++) blocks.push(readBlock(reader))
    return { kind: 'blocks', blocks, gcRound }
  },
  hello: (reader) => ({ kind: 'hello', round: reader.u32() }),
  'ask-newest': () => ({ kind: 'ask-newest' }),
  newest: (reader) => {
    const flags = reader.u8()
    if (flags > 3) throw new DecodeError(`unknown flags ${flags}`, reader.offset - 1)
    const yours = flags & 1 ? readBlock(reader) : null
    return { kind: 'newest', yours, mine: flags & 2 ? readBlock(reader) : null }
  },
  'ask-coins': (reader) => ({ kind: 'ask-coins', rounds: readAscending(reader).map(({ round }) => round) }),
  coins: (reader) => ({
    kind: 'coins',
    // Not views: they are kept for thousands of rounds, and the bytes around them need not be.
    coins: readAscending(reader, COIN_BYTES).map(({ round, rest }) => ({ round, value: new Uint8Array(rest) })),
  }),
}

/** count u8 | round u32, rest each */
function readAscending(reader: ByteReader, restBytes = 0): { round: number; rest: Uint8Array }[] {
  const count = reader.u8()
  if (count < 1 || count > COINS_MAX) throw new DecodeError(`${count} coins`, reader.offset - 1)
  const items: { round: number; rest: Uint8Array }[] = []
  for (let last = 0; items.length < count; ) {
    const round = reader.u32()
    if (round <= last) throw new DecodeError(`round ${round} after round ${last}`, reader.offset - 4)
    items.push({ round, rest: reader.bytes(restBytes) })
    last = round
  }
  return items
}
