import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { concatBytes } from '@cumulus/bytes'
import { type Block, encodeLogRecord, encodePayload, genesisDigest, sealBlock } from '@cumulus/r2s'
import fc from 'fast-check'
import { decodeLogFile, encodeLogHead, encodeMark, LOG_HEAD_BYTES, offsetOfMark } from '../src/consensus/log-file.ts'

const owner = { chainId: 27_103n, era: 0, member: 1 }

function block(round: number, author: number, payloadBytes: number): Block {
  const header = {
    ...owner,
    round,
    author,
    tsMs: 1_000 + round,
    exposed: 0,
    parents: [{ author, round: round - 1, digest: genesisDigest(new Uint8Array(32).fill(7), author) }],
    coinShare: null,
    votes: [],
    evidence: null,
    txCount: 1,
  }
  return sealBlock(header, encodePayload([new Uint8Array(payloadBytes).fill(round)]), () => new Uint8Array(64).fill(9))
}

/**
 * A log with own blocks of rounds 1, 2, ... as the writer leaves it when all of them are durable.
 *
 * @param isNoted whether the head says so; it may not yet, or a power cut may have taken it
 */
function logOf(payloads: readonly number[], isNoted: boolean): Uint8Array {
  const records = payloads.flatMap((bytes, i) =>
    [0, 1].map((author) => encodeLogRecord({ kind: 'block', block: block(i + 1, author, bytes) })),
  )
  const all = concatBytes(...records)
  const file = concatBytes(encodeLogHead(owner, 5n, 0), all, new Uint8Array(2_000))
  const mark = { number: 2, durableBytes: isNoted ? all.length : 0 }
  file.set(encodeMark(mark), offsetOfMark(mark))
  return file
}

/** Rounds of own blocks that are remembered, or `lost`: then the others are asked before anything is signed. */
function remembered(bytes: Uint8Array): number[] | 'lost' | 'refused' {
  try {
    const file = decodeLogFile(bytes, owner)
    if (file.kind === 'damaged') return 'lost'
    assert.equal(file.height, 5n)
    return file.blocks.filter(({ header }) => header.author === 1).map(({ header }) => header.round)
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'OTHER_LOG')
    return 'refused'
  }
}

const anyPayloads = fc.array(fc.integer({ min: 1, max: 2_000 }), { minLength: 1, maxLength: 4 })

describe('a log file', () => {
  it('remembers every own block, and the height it began at', () => {
    fc.assert(
      fc.property(anyPayloads, fc.boolean(), (payloads, isNoted) => {
        const file = decodeLogFile(logOf(payloads, isNoted), owner)
        assert.equal(file.kind === 'log' && file.damage, 'none')
        assert.deepEqual(
          remembered(logOf(payloads, isNoted)),
          payloads.map((_, i) => i + 1),
        )
      }),
    )
  })

  it('never forgets an own block that was durable, whichever bits of a byte are wrong', () => {
    for (const isNoted of [true, false]) {
      const whole = logOf([10, 700, 30], isNoted)
      for (let at = 0; at < whole.length; at++) {
        for (const bits of [1, 0x80, whole[at]!]) {
          if (bits === 0) continue
          const damaged = whole.slice()
          damaged[at]! ^= bits
          const found = remembered(damaged)
          if (Array.isArray(found)) assert.deepEqual(found, [1, 2, 3], `byte ${at}, noted ${isNoted}`)
        }
      }
    }
  })

  it('never forgets one wherever it is cut, or turns into zeros', () => {
    const whole = logOf([10, 700, 30], true)
    for (let at = 0; at < whole.length; at++) {
      for (const damaged of [whole.subarray(0, at), whole.slice().fill(0, at)]) {
        const found = remembered(damaged)
        if (Array.isArray(found)) assert.deepEqual(found, [1, 2, 3], `from byte ${at} on`)
      }
    }
  })

  it('never forgets one, whatever a stretch of it turns into', () => {
    fc.assert(
      fc.property(
        anyPayloads,
        fc.integer({ min: 0, max: 12_000 }),
        fc.uint8Array({ minLength: 1, maxLength: 1_500 }),
        (payloads, start, noise) => {
          const damaged = logOf(payloads, true)
          damaged.set(noise.subarray(0, Math.max(0, damaged.length - start)), Math.min(start, damaged.length))
          const found = remembered(damaged)
          if (Array.isArray(found)) {
            assert.deepEqual(
              found,
              payloads.map((_, i) => i + 1),
            )
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  it('of a version that is not known is left alone', () => {
    const older = logOf([10], true)
    older[6] = 1
    assert.throws(() => decodeLogFile(older, owner), { code: 'OTHER_LOG' })
    assert.equal(remembered(logOf([10], true).subarray(0, LOG_HEAD_BYTES - 1)), 'lost')
  })
})
