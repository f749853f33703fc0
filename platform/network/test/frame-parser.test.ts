import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { concatBytes } from '@cumulus/bytes'
import fc from 'fast-check'
import { FRAME_BODY_BYTES_MAX, FRAME_META_BYTES_MAX, type FrameMessage, FrameOp } from '../src/frame.ts'
import { DISCARD, type FrameHeader, FrameParser, type FrameSink } from '../src/frame-parser.ts'
import { FrameSender, OutgoingFrame } from '../src/frame-sender.ts'
import type { NetworkError } from '../src/index.ts'
import { frameBytes, pattern, type RawFrame } from './support.ts'

type Frame = FrameMessage & { op: FrameOp; flags: number; requestId: number }

const u32 = fc.nat({ max: 0xffff_ffff })
const anyBytes = (sizes: number[]): fc.Arbitrary<Uint8Array> =>
  fc.tuple(fc.constantFrom(...sizes), fc.nat(255)).map(([length, seed]) => pattern(length, seed))
const anyFrame: fc.Arbitrary<Frame> = fc.record({
  op: fc.constantFrom(...Object.values(FrameOp)),
  flags: fc.constantFrom(0, 1),
  requestId: u32,
  seat: fc.nat(255),
  group: u32,
  stripe: u32,
  offset: fc.maxSafeNat(),
  hash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  meta: anyBytes([0, 1, 63, 500, FRAME_META_BYTES_MAX]),
  body: anyBytes([0, 1, 64, 4095, 4096, 20_000, 65_536, 65_537, 300_000]),
})

/** What a sender puts on the wire for these frames. */
async function sent(frames: readonly Frame[]): Promise<Uint8Array> {
  const writes: Uint8Array[] = []
  const sender = new FrameSender((bytes, done) => {
    writes.push(bytes.slice())
    queueMicrotask(done)
  })
  let sentCount = 0
  for (const frame of frames) {
    sender.send(new OutgoingFrame(frame.op, frame.flags, frame.requestId, frame, () => sentCount++))
  }
  while (sender.busy) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(sentCount, frames.length)
  return concatBytes(...writes)
}

/** Feeds `stream` in pieces of these sizes in turn, into bodies directly where the parser allows. */
function feed(parser: FrameParser, stream: Uint8Array, sizes: readonly number[]): void {
  let at = 0
  for (let i = 0; at < stream.length; i++) {
    const size = Math.min(sizes[i % sizes.length]!, stream.length - at)
    const target = i % 3 === 0 ? undefined : parser.directTarget()
    const count = target ? Math.min(size, target.length) : size
    const piece = stream.slice(at, at + count)
    if (target) {
      target.set(piece)
      parser.advance(count)
    } else {
      parser.push(piece)
      piece.fill(0xee) // the parser must have copied what it keeps
    }
    at += count
  }
}

const nowhere: FrameSink = { bodyTarget: () => undefined, frame: () => undefined }

describe('frames', () => {
  it('arrive as they were sent, wherever the stream is split', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyFrame, { minLength: 1, maxLength: 6 }),
        fc.array(fc.constantFrom(1, 7, 63, 64, 65, 1000, 16_384, 70_000), { minLength: 1, maxLength: 5 }),
        async (frames, sizes) => {
          fc.pre(!sizes.every((size) => size < 63))
          const arrived: [FrameHeader, Uint8Array, Uint8Array][] = []
          const parser = new FrameParser({ ...nowhere, frame: (...frame) => arrived.push(frame) })
          feed(parser, await sent(frames), sizes)
          assert.equal(parser.midFrame, false)
          assert.equal(arrived.length, frames.length)
          arrived.forEach(([header, meta, body], i) => {
            const { flags, meta: sentMeta, body: sentBody, ...rest } = frames[i]!
            const lengths = { metaBytes: sentMeta.length, bodyBytes: sentBody.length }
            assert.deepEqual(header, { ...rest, ...lengths, reply: flags === 1, error: false })
            assert.ok(Buffer.compare(meta, sentMeta) === 0 && Buffer.compare(body, sentBody) === 0)
          })
        },
      ),
      { numRuns: 60 },
    )
  })

  it('may be passed over, from the header on or half-way, without disturbing their neighbours', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(anyFrame, fc.constantFrom('keep', 'discard', 'drop')), { minLength: 2, maxLength: 6 }),
        fc.constantFrom(100, 16_384),
        async (cases, size) => {
          const stream = await sent(cases.map(([frame], requestId) => ({ ...frame, requestId })))
          let index = 0
          const arrived: number[] = []
          let dropNow = false
          const parser = new FrameParser({
            bodyTarget: () => {
              const fate = cases[index++]![1]
              dropNow = fate === 'drop'
              return fate === 'discard' ? DISCARD : undefined
            },
            frame: (header) => arrived.push(header.requestId),
          })
          for (let at = 0; at < stream.length; at += size) {
            parser.push(stream.subarray(at, at + size))
            if (dropNow) parser.dropFrame()
            dropNow = false
          }
          assert.equal(parser.midFrame, false)
          const idsOf = (...fates: string[]): number[] => [...cases.keys()].filter((i) => fates.includes(cases[i]![1]))
          const kept = idsOf('keep')
          assert.deepEqual(
            arrived.filter((id) => kept.includes(id)),
            kept,
          )
          assert.ok(!arrived.some((id) => idsOf('discard').includes(id)))
        },
      ),
      { numRuns: 60 },
    )
  })

  it('land in the buffer they are given', () => {
    const target = new Uint8Array(10_000)
    let body: Uint8Array | undefined
    const parser = new FrameParser({
      bodyTarget: () => target,
      frame: (_header, _meta, arrived) => void (body = arrived),
    })
    parser.push(frameBytes({ op: FrameOp.put, body: pattern(9_000) }))
    assert.equal(body?.buffer, target.buffer)
    assert.deepEqual(body, pattern(9_000))
  })

  it('are refused before anything is allocated if a header field is out of bounds', () => {
    const bad: Record<string, RawFrame> = {
      'version 0': { version: 0 },
      'version 2': { version: 2 },
      'unknown op': { op: 99 },
      'op 0': { op: 0 },
      'unknown flag': { flags: 4 },
      'error that is no reply': { flags: 2 },
      'error with a body': { flags: 3, bodyBytes: 1 },
      'long body': { bodyBytes: FRAME_BODY_BYTES_MAX + 1 },
      'longest body': { bodyBytes: 0xffff_ffff },
      'long meta': { metaBytes: FRAME_META_BYTES_MAX + 1 },
      'offset above 2^53': { offsetHigh: 0x20_0000 },
    }
    for (const [name, frame] of Object.entries(bad)) {
      const parser = new FrameParser({ ...nowhere, bodyTarget: () => assert.fail(name) })
      assert.throws(() => parser.push(frameBytes(frame)), { code: 'MALFORMED_FRAME' }, name)
    }
  })

  it('made of random bytes are malformed or incomplete, and nothing worse', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), fc.nat(80), (bytes, plausible, split) => {
        if (plausible && bytes.length > 2) bytes.set([1, FrameOp.put, 0])
        const parser = new FrameParser(nowhere)
        try {
          parser.push(bytes.subarray(0, split))
          parser.push(bytes.subarray(split))
        } catch (error) {
          assert.equal((error as NetworkError).code, 'MALFORMED_FRAME')
        }
      }),
    )
  })

  it('cannot be made of fields that do not fit', () => {
    const make = (frame: Partial<FrameMessage>) => () => new OutgoingFrame(FrameOp.put, 0, 1, frame)
    assert.throws(make({ seat: 256 }), RangeError)
    assert.throws(make({ group: -1 }), RangeError)
    assert.throws(make({ stripe: 2 ** 32 }), RangeError)
    assert.throws(make({ offset: 0.5 }), RangeError)
    assert.throws(make({ hash: new Uint8Array(31) }), RangeError)
    assert.throws(make({ meta: new Uint8Array(FRAME_META_BYTES_MAX + 1) }), RangeError)
    assert.throws(make({ body: new Uint8Array(FRAME_BODY_BYTES_MAX + 1) }), RangeError)
  })
})
