import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import type { AbiParameter } from 'abitype'
import fc from 'fast-check'
import { decodeAbiParameters, encodeAbiParameters } from 'viem'
import { compileParameter, compileTuple } from '../../src/framework/abi-codec.ts'
import { Revert } from '../../src/framework/index.ts'

/** A random type, and values of it. */
interface Typed {
  readonly parameter: AbiParameter
  readonly value: fc.Arbitrary<unknown>
}

const hexOf = (minLength: number, maxLength = minLength) => fc.uint8Array({ minLength, maxLength }).map(bytesToHex)

const leaf: fc.Arbitrary<Typed> = fc.oneof(
  fc.integer({ min: 1, max: 32 }).map((size) => ({
    parameter: { type: `uint${size * 8}` },
    value: fc.bigInt(0n, 2n ** BigInt(size * 8) - 1n).map((value) => (size * 8 <= 48 ? Number(value) : value)),
  })),
  fc.integer({ min: 1, max: 32 }).map((size) => ({ parameter: { type: `bytes${size}` }, value: hexOf(size) })),
  fc.constant<Typed>({ parameter: { type: 'address' }, value: hexOf(20) }),
  fc.constant<Typed>({ parameter: { type: 'bool' }, value: fc.boolean() }),
  fc.constant<Typed>({ parameter: { type: 'string' }, value: fc.string({ unit: 'grapheme', maxLength: 70 }) }),
  fc.constant<Typed>({ parameter: { type: 'bytes' }, value: hexOf(0, 70) }),
)

const { type: anyType } = fc.letrec<{ type: Typed }>((tie) => ({
  type: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    tie('type').map(({ parameter, value }) => ({
      parameter: { ...parameter, type: `${parameter.type}[]` } as AbiParameter,
      value: fc.array(value, { maxLength: 4 }),
    })),
    fc.tuple(tie('type'), fc.integer({ min: 1, max: 3 })).map(([{ parameter, value }, length]) => ({
      parameter: { ...parameter, type: `${parameter.type}[${length}]` } as AbiParameter,
      value: fc.array(value, { minLength: length, maxLength: length }),
    })),
    fc.array(tie('type'), { minLength: 1, maxLength: 4 }).map((fields) => ({
      parameter: {
        type: 'tuple',
        components: fields.map(({ parameter }, i) => ({ ...parameter, name: `f${i}` })),
      } as AbiParameter,
      value: fc.record(Object.fromEntries(fields.map(({ value }, i) => [`f${i}`, value]))),
    })),
  ),
}))

const anyCall = fc.array(anyType, { maxLength: 4 }).chain((types) =>
  fc.record({
    parameters: fc.constant(types.map(({ parameter }) => parameter)),
    values: fc.tuple(...types.map(({ value }) => value)),
  }),
)

/** viem gives addresses with checksums. */
const lower = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? `${one}n` : one)).toLowerCase())

const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? `${one}n` : one)))

const word = (value: number | bigint) => value.toString(16).padStart(64, '0')

function refused(types: string[], data: string, reason: RegExp): void {
  const codec = compileTuple(types.map((type) => ({ type })))
  assert.throws(
    () => codec.decode(hexToBytes(data)),
    (error) => error instanceof Revert && reason.test(error.message),
  )
}

describe('the compiled ABI codec', () => {
  it('encodes every value of every type as viem does', () => {
    fc.assert(
      fc.property(anyCall, ({ parameters, values }) => {
        assert.equal(
          bytesToHex(compileTuple(parameters).encode(values)),
          encodeAbiParameters(parameters, values as never),
        )
      }),
      { numRuns: 300 },
    )
  })

  it('decodes what viem encodes, to the values viem decodes', () => {
    fc.assert(
      fc.property(anyCall, ({ parameters, values }) => {
        const data = encodeAbiParameters(parameters, values as never)
        const decoded = compileTuple(parameters).decode(hexToBytes(data))
        assert.deepEqual(plain(decoded), plain(values))
        assert.deepEqual(lower(decoded), lower(decodeAbiParameters(parameters, data)))
      }),
      { numRuns: 300 },
    )
  })

  it('answers any bytes with values or a revert, in work bounded by their length', () => {
    fc.assert(
      fc.property(anyCall, fc.infiniteStream(fc.nat()), ({ parameters, values }, numbers) => {
        const data = hexToBytes(encodeAbiParameters(parameters, values as never))
        for (let i = 0; i < 4 && data.length > 0; i++) {
          const at = numbers.next().value! % data.length
          data[at] = numbers.next().value! & 0xff
        }
        const cut = data.subarray(0, data.length - (numbers.next().value! % (data.length + 1)))
        try {
          const codec = compileTuple(parameters)
          // Whatever is accepted is the one way to write these values, but for the order of the parts.
          assert.ok(codec.encode(codec.decode(cut)).length <= cut.length)
        } catch (error) {
          if (!(error instanceof Revert)) throw error
        }
      }),
      { numRuns: 500 },
    )
  })

  it('refuses short data', () => {
    refused(['uint256'], '00'.repeat(31), /too short/)
    refused(['bytes'], `${word(32) + word(5)}01`, /too short/)
    refused(['string'], word(64), /too short/)
  })

  it('refuses numbers that do not fit and padding that is not zero', () => {
    refused(['uint8'], word(256), /out of range for uint8/)
    refused(['uint64'], word(2n ** 64n), /out of range for uint64/)
    refused(['bool'], word(2), /out of range for bool/)
    refused(['address'], word(2n ** 160n), /dirty padding of an address/)
    refused(['bytes4'], `01020304${'0'.repeat(55)}1`, /dirty padding of bytes4/)
    refused(['bytes'], word(32) + word(1) + 'ff'.repeat(32), /dirty padding of bytes/)
  })

  it('refuses arrays longer than their data before it makes room for them', () => {
    refused(['uint8[]'], word(32) + word(0xffffffff), /longer than its data/)
    refused(['uint8[]'], word(32) + word(2n ** 200n), /out of range/)
  })

  it('refuses data whose parts overlap: a few bytes cannot ask for much work', () => {
    const samePlace = word(40 * 32).repeat(40)
    const content = word(30_000) + '00'.repeat(30_016)
    refused(['bytes[]'], word(32) + word(40) + samePlace + content, /overlap/)
    refused(['uint8[]', 'uint8[]'], word(64) + word(64) + word(1) + word(5), /overlap/)
  })

  it('refuses text that is not UTF-8', () => {
    refused(['string'], `${word(32)}${word(1)}ff${'00'.repeat(31)}`, /not UTF-8/)
  })

  it('does not take values that do not fit: that is a mistake of the module', () => {
    assert.throws(() => compileTuple([{ type: 'uint8' }]).encode([256]), RangeError)
    assert.throws(() => compileTuple([{ type: 'uint8' }]).encode([-1]), RangeError)
    assert.throws(() => compileTuple([{ type: 'bytes32' }]).encode(['0x01']), RangeError)
    assert.throws(() => compileTuple([{ type: 'uint8[2]' }]).encode([[1]]), RangeError)
    assert.throws(() => compileTuple([{ type: 'uint8' }]).encode([]), RangeError)
  })

  it('knows no types that modules do not use', () => {
    for (const type of ['int256', 'uint7', 'uint264', 'bytes33', 'function', 'uint8[0]']) {
      assert.throws(() => compileParameter({ type }), RangeError, type)
    }
  })
})
