import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { minimal } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import fc from 'fast-check'
import { type Abi, encodeErrorResult, encodeFunctionData, parseAbi } from 'viem'
import {
  address,
  array,
  cell,
  dict,
  gasPrices,
  MODULE_CODE,
  ModuleRegistry,
  module,
  require,
  solidityInterface,
  text,
  u64,
  u256,
} from '../../src/framework/index.ts'
import { nobody, Reverted, TestChain } from './test-chain.ts'

const alice: Address = '0x0000000000000000000000000000000000001001'

const ledgerOf = module({
  name: 'Ledger',
  address: '0x0000000000000000000000000000000000000cf1',
  storage: { askedBy: dict(address, u64) },
}).service('note', (c) => {
  c.s.askedBy.set(c.caller, c.s.askedBy.get(c.caller) + 1n)
  return c.s.askedBy.get(c.caller)
})

const bank = module({
  name: 'Bank',
  address: '0x0000000000000000000000000000000000000Cf0',
  about: 'Keeps tokens.',
  structs: ['struct Entry { address who; string note; uint256 amount; }'],
  storage: { total: cell(u256), balanceOf: dict(address, u256), notes: array(text), blocks: cell(u64) },
  events: { Kept: 'event Kept(address indexed who, uint256 amount, string note)' },
  errors: { Short: 'error Short(uint256 wanted, uint256 there)' },
})
  .genesis((c, { endow }) => {
    c.s.total.set(1n)
    endow(5n)
  })
  .onBlock((c) => {
    c.s.blocks.set(c.s.blocks.get() + 1n)
    c.emit.Kept(c.address, c.s.blocks.get(), 'block')
  })
  .fn('function keep(string note) payable returns (uint256 total)', 100, (c, note) => {
    c.s.balanceOf.set(c.caller, c.s.balanceOf.get(c.caller) + c.value)
    c.s.total.set(c.s.total.get() + c.value)
    c.s.notes.push(note)
    c.ask(ledgerOf).note()
    c.emit.Kept(c.caller, c.value, note)
    return c.s.total.get()
  })
  .fn('function give(address to, uint256 amount)', 0, (c, to, amount) => {
    const there = c.s.balanceOf.get(c.caller)
    if (there < amount) throw c.error.Short(amount, there)
    c.s.balanceOf.set(c.caller, there - amount)
    c.transfer(to, amount)
  })
  .fn('function refuse(string reason)', 0, (c, reason) => {
    c.s.total.set(99n)
    c.ask(ledgerOf).note()
    require(false, reason)
  })
  .fn('function break_()', 0, (c) => {
    c.s.total.set(99n)
    throw new TypeError('a mistake of ours')
  })
  .fn('function overdraw(uint256 amount)', 0, (c, amount) => c.transfer(c.caller, amount))
  .fn('function forge(uint256 amount)', 0, (c, amount) => c.transfer(c.caller, -amount))
  .view('function total() view returns (uint256)', (c) => c.s.total.get())
  .view('function entry(Entry one) view returns (Entry[] twice, uint8 two)', (_c, one) => [[one, one], 2] as const)
  .view('function writes() view returns (uint256)', (c) => {
    c.s.total.set(7n)
    return 7n
  })

const encode = (functionName: string, args: readonly unknown[]) =>
  hexToBytes(encodeFunctionData({ abi: bank.abi as Abi, functionName, args }))

function newChain(): TestChain {
  const chain = new TestChain([bank, ledgerOf])
  chain.fund(alice, 1_000n)
  return chain
}

const errorString = (reason: string) =>
  encodeErrorResult({ abi: parseAbi(['error Error(string)']), errorName: 'Error', args: [reason] })

/** The call is refused in these words, and nothing has changed. */
function refusedWith(chain: TestChain, reason: RegExp, run: () => unknown): void {
  const before = chain.world.snapshot()
  assert.throws(run, (error) => error instanceof Reverted && reason.test(error.message))
  assert.equal(chain.world.snapshot(), before)
  assert.equal(chain.world.openCheckpoints, 0)
}

describe('the dispatcher', () => {
  it('runs a function, hands back its result and its events, and keeps what it wrote', () => {
    const chain = newChain()
    const { value, events } = chain.transact(bank, 'keep', ['first'], { from: alice, value: 30n })
    assert.equal(value, 31n)
    assert.deepEqual(events, [
      { name: 'Kept', args: { who: '0x0000000000000000000000000000000000001001', amount: 30n, note: 'first' } },
    ])
    assert.equal(chain.call(bank, 'total', []), 31n)
    assert.equal(chain.world.getBalance(bank.address), 35n)
    assert.equal(chain.world.openCheckpoints, 0)
  })

  it('passes structs through as viem writes and reads them', () => {
    const one = { who: alice, note: 'ö'.repeat(40), amount: 2n ** 200n }
    const [twice, two] = newChain().call(bank, 'entry', [one])
    assert.deepEqual(twice, [one, one])
    assert.equal(two, 2)
  })

  it('knows its modules in any case of letters, and nobody else', () => {
    const { registry } = newChain()
    assert.ok(registry.has('0x0000000000000000000000000000000000000CF0'))
    assert.ok(!registry.has(alice))
    assert.deepEqual(registry.addresses, [bank.address, ledgerOf.address])
    assert.throws(() => new ModuleRegistry([bank, bank]), /two modules/)
  })

  it('gives modules an account with nonce 1 and code that nobody can run, and their tokens, at genesis', () => {
    const { world } = newChain()
    for (const module of [bank, ledgerOf]) {
      assert.equal(world.getNonce(module.address), 1n)
      assert.deepEqual(world.getCode(module.address), MODULE_CODE)
    }
    assert.equal(world.getBalance(bank.address), 5n)
    assert.equal(world.slotsOf(bank.address).get(0n), 1n)
    const rich = new TestChain([bank, ledgerOf], { genesis: { balances: { Ledger: 12n } } })
    assert.equal(rich.world.getBalance(ledgerOf.address), 12n)
  })

  for (const kind of ['delegatecall', 'callcode'] as const) {
    it(`refuses ${kind}, even of a view`, () => {
      const chain = newChain()
      refusedWith(chain, new RegExp(`modules refuse ${kind}`), () => chain.call(bank, 'total', [], { kind }))
      refusedWith(chain, new RegExp(`modules refuse ${kind}`), () => chain.call(bank, 'keep', ['x'], { kind }))
    })
  }

  it('answers views in static calls and refuses everything else there', () => {
    const chain = newChain()
    for (const options of [{ isStatic: true }, { kind: 'staticcall' }] as const) {
      assert.equal(chain.call(bank, 'total', [], options), 1n)
      refusedWith(chain, /Bank.keep writes: not in a static call/, () => chain.call(bank, 'keep', ['x'], options))
    }
  })

  it('stops the node where a view writes', () => {
    const chain = newChain()
    const before = chain.world.snapshot()
    const message = { caller: alice, to: bank.address, value: 0n, data: encode('writes', []), isStatic: false }
    assert.throws(
      () =>
        chain.registry.dispatch(
          { ...message, kind: 'call', gasLimit: 1_000_000n, origin: alice },
          chain.world,
          chain.block,
        ),
      /a view wrote/,
    )
    assert.equal(chain.world.snapshot(), before)
  })

  it('refuses tokens unless the function is payable', () => {
    const chain = newChain()
    refusedWith(chain, /Bank.give takes no tokens/, () =>
      chain.call(bank, 'give', [alice, 0n], { from: alice, value: 1n }),
    )
    refusedWith(chain, /Bank.total takes no tokens/, () => chain.call(bank, 'total', [], { from: alice, value: 1n }))
  })

  it('refuses calldata without a selector, with an unknown one, or cut short', () => {
    const chain = newChain()
    const outcome = (data: Uint8Array) => {
      const before = chain.world.snapshot()
      const { ok, output } = chain.send(bank, data)
      assert.equal(ok, false)
      assert.equal(chain.world.snapshot(), before)
      return bytesToHex(output)
    }
    for (let length = 0; length < 4; length++) {
      assert.equal(outcome(new Uint8Array(length)), errorString('Bank: no function selector'))
    }
    assert.equal(outcome(new Uint8Array([1, 2, 3, 4])), errorString('Bank: unknown function 0x01020304'))
    const full = encode('give', [alice, 1n])
    for (let length = 4; length < full.length; length++) {
      assert.equal(outcome(full.subarray(0, length)), errorString('ABI: data is too short'))
    }
    assert.equal(
      outcome(encode('keep', ['x']).map((byte, i) => (i === 4 ? 1 : byte))),
      errorString('ABI: offset or length out of range'),
    )
  })

  it('undoes everything when a module refuses, in the modules it asked too', () => {
    const chain = newChain()
    refusedWith(chain, /^not today$/, () => chain.call(bank, 'refuse', ['not today'], { from: alice }))
  })

  it('hands out custom errors with their numbers', () => {
    const chain = newChain()
    assert.throws(
      () => chain.call(bank, 'give', [alice, 8n], { from: alice }),
      (error) => error instanceof Reverted && error.errorName === 'Short' && `${error.args}` === '8,0',
    )
  })

  it('passes on any other error, with the state as it was', () => {
    const chain = newChain()
    const before = chain.world.snapshot()
    const message = { caller: alice, to: bank.address, value: 0n, data: encode('break_', []), isStatic: false }
    assert.throws(
      () =>
        chain.registry.dispatch(
          { ...message, kind: 'call', gasLimit: 1_000_000n, origin: alice },
          chain.world,
          chain.block,
        ),
      TypeError,
    )
    assert.equal(chain.world.snapshot(), before)
    assert.equal(chain.world.openCheckpoints, 0)
    assert.throws(
      () =>
        chain.registry.dispatch(
          { ...message, to: alice, kind: 'call', gasLimit: 1n, origin: alice },
          chain.world,
          chain.block,
        ),
      /no module/,
    )
  })

  it('tells a module which module asks it', () => {
    const chain = newChain()
    chain.call(bank, 'keep', ['a'], { from: alice })
    const slots = [...chain.world.slotsOf(ledgerOf.address).values()]
    assert.deepEqual(slots, [1n])
    // Services are no functions of the ABI: no account reaches them.
    assert.deepEqual(ledgerOf.abi, [])
  })

  it('moves tokens from the account of the module, and no more than are there', () => {
    const chain = newChain()
    chain.call(bank, 'keep', ['a'], { from: alice, value: 100n })
    chain.call(bank, 'give', [nobody, 60n], { from: alice })
    assert.equal(chain.world.getBalance(nobody), 60n)
    assert.equal(chain.world.totalBalance(), 1_005n)
    refusedWith(chain, /not enough tokens/, () => chain.call(bank, 'overdraw', [46n], { from: alice }))
    assert.throws(() => chain.call(bank, 'forge', [1n], { from: alice }), RangeError)
  })

  it('runs block hooks and hands out their logs', () => {
    const chain = newChain()
    chain.endBlock()
    const logs = chain.endBlock()
    assert.deepEqual(
      chain.events(logs, [bank]).map(({ args }) => [args['amount'], args['note']]),
      [[2n, 'block']],
    )
  })
})

describe('hooks for epochs and eras', () => {
  /** Notes what it is told; an era takes as many blocks as `work` says. */
  const clock = (work: number) => {
    const told: string[] = []
    const watcher = module({
      name: 'Watcher',
      address: '0x0000000000000000000000000000000000000cf3',
      storage: { step: cell(u64) },
      events: { Ended: 'event Ended(uint64 indexed era)' },
    })
      .onEra((c, era) => {
        told.push(`era ${era}`)
        const step = c.s.step.get() + 1n
        c.s.step.set(step % BigInt(work))
        if (step < BigInt(work)) return 'more'
        c.emit.Ended(BigInt(era))
        return undefined
      })
      .onEpoch((_c, epoch) => void told.push(`epoch ${epoch}`))
      .onBlock((c) => void told.push(`block ${c.block.number}`))
    const chain = new TestChain([watcher])
    const block = (epochs: number) => {
      chain.advance({ blocks: 1n, epochs })
      told.length = 0
      const logs = chain.events(chain.endBlock(), [watcher])
      return [...told, ...logs.map(({ name, args }) => `${name} ${args['era']}`)]
    }
    return { block, chain, watcher }
  }
  const { epochsPerEra } = minimal

  it('run once, in the first block behind the period, before the hook of the block', () => {
    const { block } = clock(1)
    assert.deepEqual(block(0), ['block 2'])
    assert.deepEqual(block(1), ['epoch 0', 'block 3'])
    assert.deepEqual(block(0), ['block 4'])
    assert.deepEqual(block(epochsPerEra - 1), ['era 0', 'epoch 1', 'block 5', 'Ended 0'])
  })

  it('catch up with one period a block', () => {
    const { block } = clock(1)
    const told = [block(2 * epochsPerEra), block(0), block(0)]
    assert.deepEqual(
      told.map((one) => one.slice(0, 2)),
      [
        ['era 0', 'epoch 0'],
        ['era 1', 'epoch 1'],
        ['epoch 2', 'block 4'],
      ],
    )
  })

  it('go on with one that has more work, block after block', () => {
    const { block } = clock(3)
    const told = [block(epochsPerEra), block(0), block(0), block(0)]
    assert.deepEqual(
      told.map((one) => one.filter((text) => text.startsWith('era') || text.startsWith('Ended'))),
      [['era 0'], ['era 0'], ['era 0', 'Ended 0'], []],
    )
  })

  it('keep their place in the state, where no variable is', () => {
    const { block, chain, watcher } = clock(2)
    block(epochsPerEra)
    const slots = chain.world.slotsOf(watcher.address)
    assert.deepEqual([...slots.values()], [1n, 1n], 'the step, and the epoch; the era is not done')
    assert.equal(slots.get(0n), 1n)
  })

  it('are one for each period', () => {
    const base = module({ name: 'Odd', address: alice, storage: {} }).onEra(() => {})
    assert.throws(() => base.onEra(() => {}), /two era hooks/)
  })
})

describe('a module that issues tokens', () => {
  const mint = module({
    name: 'Mint',
    address: '0x0000000000000000000000000000000000000cf4',
    storage: { supply: cell(u256) },
    issues: true,
  })
    .genesis((c, { supply }) => c.s.supply.set(supply))
    .fn('function issue(uint256 amount)', 0, (c, amount) => c.issue(amount))
    .fn('function burn(uint256 amount)', 0, (c, amount) => c.burn(amount))
    .view('function supply() view returns (uint256)', (c) => c.s.supply.get())

  it('begins last and is told what there is, and makes and burns on its own account', () => {
    const chain = new TestChain([mint, bank, ledgerOf], { genesis: { allocated: 7n } })
    assert.equal(chain.call(mint, 'supply', []), 12n, 'with what the bank endowed itself')
    const before = chain.world.totalBalance()
    chain.call(mint, 'issue', [5n])
    assert.equal(chain.world.totalBalance(), before + 5n)
    chain.call(mint, 'burn', [2n])
    assert.equal(chain.world.getBalance(mint.address), 3n)
    assert.throws(() => chain.call(mint, 'burn', [4n]), /not 4 wei to burn/)
  })

  it('is the only one that can', () => {
    const other = module({ name: 'Other', address: '0x0000000000000000000000000000000000000cf5', storage: {} })
      .fn('function issue()', 0, (c) => c.issue(1n))
      .fn('function burn()', 0, (c) => c.burn(1n))
    const chain = new TestChain([other])
    assert.throws(() => chain.call(other, 'issue', []), /Other does not issue tokens/)
    assert.throws(() => chain.call(other, 'burn', []), /Other does not issue tokens/)
  })
})

describe('the gas of a module call', () => {
  it('is what the EVM asks for the same slots, logs and transfers', () => {
    const chain = newChain()
    const p = gasPrices
    const data = encode('total', [])
    const { gasUsed } = chain.send(bank, data)
    assert.equal(gasUsed, BigInt(p.dispatch + p.word * Math.ceil(data.length / 32) + p.coldLoad + p.word))
    // Slot of the balance: a hash, cold, read, and not changed as 0 goes; the transfer of 0 costs nothing.
    const give = encode('give', [alice, 0n])
    const words = Math.ceil(give.length / 32)
    assert.equal(
      chain.send(bank, give).gasUsed,
      BigInt(p.dispatch + p.word * words + 2 * p.hash + p.coldLoad + p.storeSame),
    )
  })

  it('is the same for the same call, and enough gas is exactly enough', () => {
    const data = encode('keep', ['a note that takes more than one slot, so that it goes elsewhere'])
    const options = { from: alice, value: 3n }
    const { gasUsed } = newChain().send(bank, data, options)
    assert.equal(newChain().send(bank, data, { ...options, gasLimit: gasUsed }).ok, true)
    const short = newChain().send(bank, data, { ...options, gasLimit: gasUsed - 1n })
    assert.deepEqual(short, { ok: false, output: new Uint8Array(), gasUsed: gasUsed - 1n, logs: [] })
  })

  it('leaves the state untouched whichever step it runs out at', () => {
    const chain = newChain()
    chain.call(bank, 'keep', ['before'], { from: alice, value: 50n })
    const before = chain.world.snapshot()
    const calls = [
      { data: encode('keep', ['n'.repeat(100)]), value: 5n },
      { data: encode('give', [nobody, 7n]), value: 0n },
    ]
    for (const { data, value } of calls) {
      const probe = newChain()
      probe.call(bank, 'keep', ['before'], { from: alice, value: 50n })
      const { ok, gasUsed } = probe.send(bank, data, { from: alice, value })
      assert.ok(ok)
      fc.assert(
        fc.property(fc.bigInt(0n, gasUsed - 1n), (gasLimit) => {
          const result = chain.send(bank, data, { from: alice, value, gasLimit })
          assert.deepEqual(result, { ok: false, output: new Uint8Array(), gasUsed: gasLimit, logs: [] })
          assert.equal(chain.world.snapshot(), before)
        }),
        { numRuns: 200 },
      )
    }
  })

  it('grows with what is written', () => {
    const gasFor = (note: string) => newChain().send(bank, encode('keep', [note]), { from: alice }).gasUsed
    fc.assert(
      fc.property(fc.nat({ max: 300 }), fc.nat({ max: 300 }), (a, b) => {
        const [short, long] = a < b ? [a, b] : [b, a]
        assert.ok(gasFor('x'.repeat(short)) <= gasFor('x'.repeat(long)))
      }),
      { numRuns: 40 },
    )
  })
})

/** The example in the README. */
const counter = module({
  name: 'Counter',
  address: '0x0000000000000000000000000000000000000cff',
  storage: { countOf: dict(address, u64) },
  events: { Counted: 'event Counted(address indexed who, uint64 count)' },
})
  .fn('function count(uint64 by) returns (uint64 count)', 0, (c, by) => {
    require(by > 0n, 'nothing to count')
    const count = c.s.countOf.get(c.caller) + by
    c.s.countOf.set(c.caller, count)
    c.emit.Counted(c.caller, count)
    return count
  })
  .view('function countOf(address who) view returns (uint64)', (c, who) => c.s.countOf.get(who))

describe('a module definition', () => {
  it('is all there is to write', () => {
    const chain = new TestChain([counter])
    assert.equal(chain.call(counter, 'count', [2n], { from: alice }), 2n)
    assert.equal(chain.call(counter, 'count', [3n], { from: alice }), 5n)
    assert.equal(chain.call(counter, 'countOf', [alice]), 5n)
    refusedWith(chain, /nothing to count/, () => chain.call(counter, 'count', [0n]))
  })

  it('becomes the Solidity interface that contracts import', () => {
    assert.equal(
      solidityInterface(bank),
      [
        '// SPDX-License-Identifier: Apache-2.0',
        'pragma solidity ^0.8.0;',
        '',
        '/// @notice Keeps tokens. At 0x0000000000000000000000000000000000000cf0.',
        'interface Bank {',
        '  struct Entry { address who; string note; uint256 amount; }',
        '  error Short(uint256 wanted, uint256 there);',
        '  event Kept(address indexed who, uint256 amount, string note);',
        '  function keep(string calldata note) external payable returns (uint256 total);',
        '  function give(address to, uint256 amount) external;',
        '  function refuse(string calldata reason) external;',
        '  function break_() external;',
        '  function overdraw(uint256 amount) external;',
        '  function forge(uint256 amount) external;',
        '  function total() external view returns (uint256);',
        '  function entry(Entry calldata one) external view returns (Entry[] memory twice, uint8 two);',
        '  function writes() external view returns (uint256);',
        '}',
        '',
        'Bank constant BANK = Bank(0x0000000000000000000000000000000000000Cf0);',
        '',
      ].join('\n'),
    )
  })

  it('is refused where it contradicts itself', () => {
    const base = { name: 'Odd', address: alice, storage: {} } as const
    assert.throws(() => module({ ...base, events: { A: 'event B()' } }), /listed as A/)
    assert.throws(() => module({ ...base, errors: { A: 'error B()' } }), /listed as A/)
    assert.throws(() => module({ ...base, events: { A: 'event A(string indexed s)' } }), /value types only/)
    const odd = module(base).fn('function f()', 0, () => {})
    assert.throws(() => odd.fn('function f()', 0, () => {}), /two functions/)
  })
})
