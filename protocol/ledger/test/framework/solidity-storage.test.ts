import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  address,
  array,
  bool,
  bytes,
  bytes32,
  cell,
  dict,
  module,
  struct,
  text,
  u8,
  u16,
  u32,
  u64,
  u256,
} from '../../src/framework/index.ts'
import { TestChain } from './test-chain.ts'

const pair = struct({ who: address, kind: u8, count: u32, size: u64, name: text, total: u256 })

/** The variables of vectors/layout.sol, and what its constructor writes to them. */
const layout = module({
  name: 'Layout',
  address: '0x0000000000000000000000000000000000000cfe',
  storage: {
    a: cell(u32),
    b: cell(u64),
    c: cell(bool),
    d: cell(address),
    e: cell(u256),
    f: cell(u8),
    g: dict(address, u64),
    h: cell(u8),
    exactlyOneSlot: text,
    tiny: text,
    edge: text,
    longText: text,
    blob: bytes,
    words: array(u256),
    packed: array(u32),
    quarters: array(u64),
    people: array(address),
    pairs: dict(u256, dict(address, pair)),
    lists: dict(bytes32, array(u32)),
    all: array(pair),
    last: cell(u16),
    flags: dict(bool, bytes32),
  },
})
  .fn('function fill()', 0, (c) => {
    const { s } = c
    s.a.set(0xa1a2a3a4)
    s.b.set(0xb1b2b3b4b5b6b7b8n)
    s.c.set(true)
    s.d.set('0x1111111111111111111111111111111111111111')
    s.e.set(0xe1n)
    s.f.set(0xf1)
    s.h.set(0x81)
    s.exactlyOneSlot.set('thirty-one bytes are kept inside')
    s.tiny.set('cumulus')
    s.edge.set('0123456789012345678901234567890')
    s.longText.set('a text that is longer than one slot and even a good deal longer than two of them together')
    s.blob.set(new Uint8Array([0, 0xff, 0x10]))
    s.last.set(0x1a57)
    s.g.set('0x2222222222222222222222222222222222222222', 7n)
    s.words.push(5n)
    s.words.push(6n)
    for (let i = 1; i <= 11; i++) s.packed.push(i)
    for (let i = 1n; i <= 5n; i++) s.quarters.push(i)
    s.people.push('0x3333333333333333333333333333333333333333')
    s.pairs
      .at(9n)
      .at('0x4444444444444444444444444444444444444444')
      .set({
        who: '0x5555555555555555555555555555555555555555',
        kind: 3,
        count: 77,
        size: 2n ** 40n,
        name: 'pair',
        total: 99n,
      })
    const list = s.lists.at(`0x${'abc'.padStart(64, '0')}`)
    list.push(1)
    list.push(2)
    s.flags.set(true, `0x${'def'.padStart(64, '0')}`)
  })
  .fn('function grow(uint32 times)', 0, (c, times) => {
    for (let i = 0; i < times; i++) {
      c.s.packed.push(i)
      c.s.all.push({ who: c.caller, kind: 1, count: i, size: 2n, name: 'n'.repeat(i * 9), total: 3n })
    }
  })
  .fn('function shrink()', 0, (c) => {
    while (c.s.packed.length() > 0) c.s.packed.pop()
    while (c.s.all.length() > 0) c.s.all.pop()
  })
  .view('function packedAt(uint32 i) view returns (uint32)', (c, i) => c.s.packed.get(i))
  .view('function nameAt(uint32 i) view returns (string)', (c, i) => c.s.all.at(i).field('name').get())
  .fn('function write(string value)', 0, (c, value) => c.s.longText.set(value))
  .view('function read() view returns (string)', (c) => c.s.longText.get())
  .fn('function pack(uint32 a, uint64 b, bool c_)', 0, (c, a, b, flag) => {
    c.s.c.set(flag)
    c.s.a.set(a)
    c.s.b.set(b)
  })
  .view(
    'function packs() view returns (uint32 a, uint64 b, bool c_)',
    (c) => [c.s.a.get(), c.s.b.get(), c.s.c.get()] as const,
  )

const slotsBySolc = new Map(
  Object.entries(
    JSON.parse(readFileSync(new URL('./vectors/layout.json', import.meta.url), 'utf8')) as Record<string, string>,
  ).map(([slot, value]) => [BigInt(slot), BigInt(value)]),
)

const sorted = (slots: Map<bigint, bigint>) => [...slots].sort(([a], [b]) => (a < b ? -1 : 1))

describe('the storage of a module', () => {
  it('is slot for slot what solc writes for the same variables', () => {
    const chain = new TestChain([layout])
    chain.call(layout, 'fill', [])
    assert.deepEqual(sorted(chain.world.slotsOf(layout.address)), sorted(slotsBySolc))
  })

  it('keeps packed neighbours apart', () => {
    const chain = new TestChain([layout])
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.bigInt(0n, 2n ** 64n - 1n), fc.boolean(), (a, b, c) => {
        chain.call(layout, 'pack', [a, b, c])
        assert.deepEqual(chain.call(layout, 'packs', []), [a, b, c])
      }),
    )
  })

  it('reads texts of any length back and leaves nothing of longer ones behind', () => {
    const chain = new TestChain([layout])
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 120 }), { minLength: 1 }), (texts) => {
        for (const value of texts) {
          chain.call(layout, 'write', [value])
          assert.equal(chain.call(layout, 'read', []), value)
        }
        chain.call(layout, 'write', [''])
        assert.equal(chain.world.slotsOf(layout.address).size, 0)
      }),
    )
  })

  it('is empty again after arrays have grown and shrunk', () => {
    const chain = new TestChain([layout])
    chain.call(layout, 'grow', [20])
    assert.equal(chain.call(layout, 'packedAt', [13]), 13)
    assert.equal(chain.call(layout, 'nameAt', [19]), 'n'.repeat(171))
    chain.call(layout, 'shrink', [])
    assert.equal(chain.world.slotsOf(layout.address).size, 0)
  })

  it('stops the node where a module looks past the end of an array', () => {
    const chain = new TestChain([layout])
    assert.throws(() => chain.call(layout, 'packedAt', [0]), RangeError)
    assert.equal(chain.world.openCheckpoints, 1) // the caller's own: the dispatcher closed the one it opened
  })
})
