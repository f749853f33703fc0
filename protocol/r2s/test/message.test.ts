import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  type Block,
  type BlockRef,
  COIN_BYTES,
  decodeBlock,
  decodeHeader,
  encodeBlock,
  encodeHeader,
  type Header,
  sealBlock,
} from '../src/block.ts'
import {
  COINS_MAX,
  decodeMessage,
  encodeMessage,
  FETCH_REFS_MAX,
  type Message,
  REPLY_BLOCKS_MAX,
} from '../src/message.ts'
import { HEADER_BYTES_MAX, PAYLOAD_BYTES_LIMIT } from '../src/r2s-params.ts'
import { LoneMember } from './lone-member.ts'

const SIZE = 4
const MALFORMED = { code: 'MALFORMED' }

const bytesOf = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length })
const u32 = fc.nat(2 ** 32 - 1)
const ref: fc.Arbitrary<BlockRef> = fc.record({ author: fc.nat(SIZE - 1), round: u32, digest: bytesOf(32) })

const ascending: fc.Arbitrary<number[]> = fc
  .uniqueArray(fc.integer({ min: 1, max: 2 ** 32 - 1 }), { minLength: 1, maxLength: COINS_MAX })
  .map((rounds) => rounds.sort((a, b) => a - b))

const header: fc.Arbitrary<Omit<Header, 'payloadHash' | 'payloadBytes'>> = fc
  .record({
    chainId: fc.bigInt(0n, 2n ** 64n - 1n),
    era: u32,
    round: fc.integer({ min: 256, max: 2 ** 32 - 1 }),
    author: fc.nat(255),
    tsMs: fc.nat(2 ** 48 - 1),
    exposed: u32,
    below: fc.array(fc.tuple(fc.nat(255), fc.integer({ min: 1, max: 255 }), bytesOf(32)), {
      minLength: 1,
      maxLength: 62,
    }),
    reset: fc.boolean(),
    coinShare: fc.option(bytesOf(96)),
    votes: fc.array(
      fc.record({ height: fc.bigInt(0n, 2n ** 64n - 1n), headerHash: bytesOf(32), signature: bytesOf(96) }),
      { maxLength: 8 },
    ),
    evidence: fc.option(
      fc.record({
        author: fc.nat(255),
        round: u32,
        firstDigest: bytesOf(32),
        firstSignature: bytesOf(64),
        secondDigest: bytesOf(32),
        secondSignature: bytesOf(64),
      }),
    ),
    txCount: fc.nat(2 ** 16 - 1),
  })
  .map(({ below, reset, ...rest }) => ({
    ...rest,
    // The first parent may be the genesis block, further down than the layout reaches; the others lie within.
    parents: below.map(([author, delta, digest], i) => ({
      author,
      round: reset && i === 0 ? 0 : rest.round - delta,
      digest,
    })),
  }))

const block: fc.Arbitrary<Block> = fc
  .tuple(header, fc.uint8Array({ maxLength: 50 }), bytesOf(64))
  .map(([head, payload, signature]) => sealBlock(head, payload, () => signature))

const message: fc.Arbitrary<Message> = fc.oneof(
  block.map((one): Message => ({ kind: 'block', block: one })),
  fc
    .tuple(
      fc.array(ref, { minLength: 1, maxLength: FETCH_REFS_MAX }),
      fc.array(u32, { minLength: SIZE, maxLength: SIZE }),
    )
    .map(([wanted, have]): Message => ({ kind: 'fetch', wanted, have })),
  fc
    .tuple(fc.array(block, { maxLength: 4 }), u32)
    .map(([blocks, gcRound]): Message => ({ kind: 'blocks', blocks, gcRound })),
  u32.map((round): Message => ({ kind: 'hello', round })),
  fc.constant<Message>({ kind: 'ask-newest' }),
  fc.tuple(fc.option(block), fc.option(block)).map(([yours, mine]): Message => ({ kind: 'newest', yours, mine })),
  ascending.map((rounds): Message => ({ kind: 'ask-coins', rounds })),
  fc
    .tuple(ascending, bytesOf(COIN_BYTES))
    .map(([rounds, value]): Message => ({ kind: 'coins', coins: rounds.map((round) => ({ round, value })) })),
)

/** Buffers and arrays alike. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Array.from(value)
  if (Array.isArray(value)) return value.map(plain)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)]))
}

/** One of each kind, small, with a block that has everything in it. */
function oneOfEach(): Message[] {
  const member = new LoneMember()
  const full = member.sealed(1, {
    coinShare: new Uint8Array(96).fill(7),
    votes: [{ height: 9n, headerHash: new Uint8Array(32).fill(1), signature: new Uint8Array(96).fill(2) }],
    evidence: {
      author: 3,
      round: 1,
      firstDigest: new Uint8Array(32).fill(3),
      firstSignature: new Uint8Array(64).fill(4),
      secondDigest: new Uint8Array(32).fill(5),
      secondSignature: new Uint8Array(64).fill(6),
    },
  })
  return [
    { kind: 'block', block: full },
    { kind: 'fetch', wanted: member.genesis.map((genesis) => ({ ...genesis, round: 8 })), have: [1, 2, 3, 4] },
    { kind: 'blocks', blocks: [full, member.sealed(2)], gcRound: 5 },
    { kind: 'hello', round: 77 },
    { kind: 'ask-newest' },
    { kind: 'newest', yours: full, mine: member.sealed(2) },
    { kind: 'ask-coins', rounds: [3, 9] },
    { kind: 'coins', coins: [3, 9].map((round) => ({ round, value: new Uint8Array(COIN_BYTES).fill(round) })) },
  ]
}

describe('a message', () => {
  it('comes out of its bytes as it went in, and has one encoding', () => {
    fc.assert(
      fc.property(message, (one) => {
        const bytes = encodeMessage(one)
        const again = decodeMessage(bytes, SIZE)
        assert.deepEqual(plain(again), plain(one))
        assert.deepEqual(encodeMessage(again), bytes)
      }),
    )
  })

  it('is either refused or the only message with these bytes, whatever the bytes', () => {
    fc.assert(
      fc.property(
        message,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (one, changes) => {
          const bytes = encodeMessage(one)
          for (const [at, value] of changes) bytes[at % bytes.length] = value
          try {
            assert.deepEqual(encodeMessage(decodeMessage(bytes, SIZE)), bytes)
          } catch (error) {
            if ((error as { code?: string }).code !== 'MALFORMED') throw error
          }
        },
      ),
    )
  })

  for (const one of oneOfEach()) {
    it(`of kind ${one.kind} is refused at every length but its own`, () => {
      const bytes = encodeMessage(one)
      for (let length = 0; length < bytes.length; length++) {
        assert.throws(() => decodeMessage(bytes.subarray(0, length), SIZE), MALFORMED, `${length} bytes`)
      }
      assert.throws(() => decodeMessage(Buffer.concat([bytes, Buffer.alloc(1)]), SIZE), MALFORMED)
    })
  }

  it('of an unknown kind is refused', () => {
    for (const kind of [0, 9, 255]) assert.throws(() => decodeMessage(Uint8Array.of(kind), SIZE), MALFORMED)
  })
})

describe('a question for blocks', () => {
  const fetch = (count: number, author = 0, have = [0, 0, 0, 0]): Uint8Array => {
    const wanted = Array.from({ length: count }, () => ({ author, round: 1, digest: new Uint8Array(32) }))
    return encodeMessage({ kind: 'fetch', wanted, have })
  }

  it('wants 1 to 256', () => {
    for (const count of [1, FETCH_REFS_MAX]) assert.equal(decodeMessage(fetch(count), SIZE).kind, 'fetch')
    for (const count of [0, FETCH_REFS_MAX + 1, 65_535])
      assert.throws(() => decodeMessage(fetch(count), SIZE), MALFORMED)
  })

  it('names members of this committee only, and the rounds of each', () => {
    assert.throws(() => decodeMessage(fetch(1, SIZE), SIZE), MALFORMED)
    for (const size of [0, 3, 5, 31]) {
      assert.throws(() => decodeMessage(fetch(1, 0, new Array<number>(size).fill(0)), SIZE), MALFORMED)
    }
  })
})

describe('a question for coins, and an answer', () => {
  const both = (rounds: number[]): Message[] => [
    { kind: 'ask-coins', rounds },
    { kind: 'coins', coins: rounds.map((round) => ({ round, value: new Uint8Array(COIN_BYTES) })) },
  ]

  it('has 1 to 64 rounds', () => {
    for (const count of [1, COINS_MAX]) {
      const rounds = Array.from({ length: count }, (_, i) => i + 1)
      for (const one of both(rounds)) assert.equal(decodeMessage(encodeMessage(one), SIZE).kind, one.kind)
    }
    const more = Array.from({ length: COINS_MAX + 1 }, (_, i) => i + 1)
    for (const rounds of [[], more]) {
      for (const one of both(rounds)) assert.throws(() => decodeMessage(encodeMessage(one), SIZE), MALFORMED)
    }
  })

  it('names each round once, ascending, and none before the first', () => {
    for (const rounds of [[0], [2, 2], [3, 2]]) {
      for (const one of both(rounds)) assert.throws(() => decodeMessage(encodeMessage(one), SIZE), MALFORMED)
    }
  })

  it('has no coin of another length', () => {
    const coins = [{ round: 1, value: new Uint8Array(COIN_BYTES - 1) }]
    assert.throws(() => encodeMessage({ kind: 'coins', coins }), RangeError)
  })

  it('does not keep the bytes it came in', () => {
    const bytes = Buffer.from(encodeMessage(both([4])[1]!)) // whose slices would be views
    const message = decodeMessage(bytes, SIZE)
    bytes.fill(9)
    assert.ok(message.kind === 'coins' && message.coins[0]!.value.every((byte) => byte === 0))
  })
})

describe('an answer', () => {
  it('has at most 4,096 blocks', () => {
    // The count alone is refused: no reader allocates for it.
    const bytes = encodeMessage({ kind: 'blocks', blocks: [], gcRound: 0 })
    new DataView(bytes.buffer, bytes.byteOffset).setUint16(5, REPLY_BLOCKS_MAX + 1, true)
    assert.throws(() => decodeMessage(bytes, SIZE), { ...MALFORMED, message: /4097 blocks/ })
  })

  it('about the newest blocks has no other flags than two', () => {
    const bytes = encodeMessage({ kind: 'newest', yours: null, mine: null })
    for (const flags of [4, 8, 255]) {
      bytes[1] = flags
      assert.throws(() => decodeMessage(bytes, SIZE), { ...MALFORMED, message: /flags/ })
    }
  })
})

describe('a header', () => {
  const sealed = encodeHeader(new LoneMember().sealed(1).header)
  const changed = (at: number, value: number): Uint8Array => {
    const bytes = Uint8Array.from(sealed)
    bytes[at] = value
    return bytes
  }

  it('of another version, with flags unknown, without parents, with 63 or with 9 votes is refused', () => {
    const cases: [number, number, RegExp][] = [
      [0, 0, /version/],
      [0, 2, /version/],
      [66, 8, /flags/],
      [67, 0, /0 parents/],
      [67, 63, /63 parents/],
      [68, 9, /9 votes/],
    ]
    for (const [at, value, reason] of cases) {
      assert.throws(() => decodeHeader(changed(at, value)), { ...MALFORMED, message: reason })
    }
  })

  it('has no parent of its own round, of one above, or of one before the first', () => {
    const delta = 70 // of the first parent
    assert.equal(sealed[delta], 1)
    for (const value of [0, 2, 255]) assert.throws(() => decodeHeader(changed(delta, value)), MALFORMED)
    // "Out of reach" where the genesis block is in reach would be a second encoding.
    const near = changed(66, 4)
    near[delta] = 0
    assert.throws(() => decodeHeader(near), MALFORMED)
  })

  it('of more than 8 KiB is refused, also where a block says so', () => {
    assert.throws(() => decodeHeader(new Uint8Array(HEADER_BYTES_MAX + 1)), { ...MALFORMED, message: /8 KiB/ })
    const bytes = encodeBlock(new LoneMember().sealed(1))
    new DataView(bytes.buffer, bytes.byteOffset).setUint16(0, HEADER_BYTES_MAX + 1, true)
    assert.throws(() => decodeBlock(bytes), { ...MALFORMED, message: /header of 8193 bytes/ })
  })
})

describe('a block', () => {
  it('with more than 4 MiB is refused by its header alone', () => {
    const block = new LoneMember().sealed(1)
    const headerBytes = encodeHeader({ ...block.header, payloadBytes: PAYLOAD_BYTES_LIMIT + 1 })
    const bytes = encodeBlock({ ...block, headerBytes, payload: new Uint8Array(0) })
    assert.throws(() => decodeBlock(bytes), { ...MALFORMED, message: /payload of 4194305 bytes/ })
  })

  it('with the payload of another is refused', () => {
    const block = new LoneMember().sealed(1)
    assert.throws(() => decodeBlock(encodeBlock({ ...block, payload: Uint8Array.of(0, 0, 1) })), MALFORMED)
  })
})
