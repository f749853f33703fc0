import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hexToBytes } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'
import { type AccountOverride, LedgerError, type LedgerLimits } from '../../src/index.ts'
import { wordToBytes } from '../../src/trie/rlp.ts'
import {
  ADDER,
  account,
  alice,
  batchOf,
  bob,
  deployer,
  ETHER,
  MODULE,
  OP,
  openLedger,
  params,
  sign,
} from './fixture.ts'

/** Returns NUMBER, TIMESTAMP, COINBASE, PREVRANDAO, GASLIMIT and BASEFEE. */
const BLOCK = hexToBytes(
  ['43', '42', '41', '44', '45', '48'].map((op, i) => `${op}60${(32 * i).toString(16).padStart(2, '0')}52`).join('') +
    '60c05ff3',
)
/** Returns slots 0 and 1. */
const SLOTS = hexToBytes('5f545f5260015460205260405ff3')
const LOOP = hexToBytes('5b5f56')
const somebody = account(90).address
const somewhere = account(91).address

const words = (bytes: Uint8Array) =>
  Array.from({ length: bytes.length / 32 }, (_, i) => BigInt(`0x${bytes.subarray(32 * i, 32 * i + 32).toHex()}`))

async function withContract(
  runtime: Uint8Array,
  limits: LedgerLimits = {},
  pause?: () => Promise<unknown> | undefined,
) {
  const { ledger } = await openLedger({ limits, pause })
  const { receipts } = await ledger.execute(
    batchOf(ledger, [sign(alice, { nonce: 0n, data: deployer(runtime), gasLimit: 300_000n })]),
  )
  return { ledger, contract: receipts[0]!.contractAddress! }
}

describe('a call', () => {
  it('runs on accounts that are what the caller says', async () => {
    const { ledger, contract } = await withContract(ADDER)
    const call = (to: Address, overrides: [Address, AccountOverride][], request = {}) =>
      ledger.call({ to, data: wordToBytes(1n), ...request }, undefined, { overrides: new Map(overrides) })
    const diff = await call(contract, [[contract, { stateDiff: new Map([[0n, 41n]]) }]])
    assert.deepEqual(words(diff.output), [42n])
    const elsewhere = await call(somewhere, [[somewhere, { code: ADDER, state: new Map([[0n, 9n]]) }]])
    assert.deepEqual(words(elsewhere.output), [10n])
    const noCode = await call(contract, [[contract, { code: new Uint8Array(0) }]])
    assert.deepEqual([noCode.ok, noCode.output.length], [true, 0])
    const poor = { from: somebody, value: 5n * ETHER }
    assert.equal((await call(bob.address, [], poor)).error, 'insufficient balance')
    assert.ok((await call(bob.address, [[somebody, { balance: 5n * ETHER }]], poor)).ok)
    // Addresses of created contracts follow from the nonce.
    const created = { from: somebody, to: undefined, data: deployer(ADDER) }
    assert.ok((await ledger.call(created, undefined, { overrides: new Map([[somebody, { nonce: 7n }]]) })).ok)
    assert.equal(ledger.getStorage(contract, 0n), 0n)
    assert.equal(ledger.getCode(somewhere).length, 0)
    assert.equal(ledger.getBalance(somebody), 0n)
  })

  it('sees no other slots of an account whose whole state is given', async () => {
    const { ledger } = await withContract(ADDER)
    const { receipts } = await ledger.execute(
      batchOf(ledger, [
        sign(alice, { nonce: 1n, data: deployer(SLOTS), gasLimit: 300_000n }),
        sign(alice, { nonce: 2n, to: MODULE, data: Uint8Array.of(OP.count) }),
      ]),
    )
    const slots = receipts[0]!.contractAddress!
    const as = (override: AccountOverride) =>
      ledger.call({ to: MODULE }, undefined, { overrides: new Map([[MODULE, { code: SLOTS, ...override }]]) })
    // Slot 1 of the test module is 7 from its genesis; modules themselves cannot be overridden by code.
    assert.equal((await as({})).ok, false)
    const here = (override: AccountOverride) =>
      ledger.call({ to: slots }, undefined, { overrides: new Map([[slots, override]]) })
    assert.deepEqual(words((await here({ state: new Map([[1n, 5n]]) })).output), [0n, 5n])
    const count = { to: MODULE, data: Uint8Array.of(OP.count) }
    const from5 = new Map([[MODULE, { state: new Map([[0n, 5n]]) }]])
    assert.deepEqual(words((await ledger.call(count, undefined, { overrides: from5 })).output), [6n])
    assert.deepEqual(words((await ledger.call(count)).output), [2n])
  })

  it('runs in a block that is what the caller says', async () => {
    const { ledger, contract } = await withContract(BLOCK)
    const { head } = ledger
    const plain = await ledger.call({ to: contract })
    assert.deepEqual(words(plain.output), [
      head.number,
      head.timestamp,
      BigInt(head.coinbase),
      BigInt(`0x${head.prevRandao.toHex()}`),
      params.blockGasLimit,
      head.baseFee,
    ])
    const blockOverrides = {
      number: 1_000n,
      timestamp: 2_000_000_000n,
      coinbase: somebody,
      prevRandao: new Uint8Array(32).fill(1),
      gasLimit: 3_000_000n,
      baseFee: 5n,
    }
    const { output } = await ledger.call({ to: contract }, undefined, { blockOverrides })
    assert.deepEqual(words(output), [
      1_000n,
      2_000_000_000n,
      BigInt(somebody),
      BigInt(`0x${'01'.repeat(32)}`),
      3_000_000n,
      5n,
    ])
  })

  it('is refused overrides that contradict themselves or are out of range', async () => {
    const { ledger, contract } = await withContract(ADDER)
    const call = (override: AccountOverride) =>
      ledger.call({ to: contract }, undefined, { overrides: new Map([[contract, override]]) })
    for (const override of [
      { state: new Map(), stateDiff: new Map() },
      { balance: -1n },
      { balance: 1n << 256n },
      { nonce: 1n << 64n },
      { stateDiff: new Map([[0n, 1n << 256n]]) },
      { state: new Map([[-1n, 1n]]) },
    ]) {
      await assert.rejects(call(override), { code: 'BAD_OVERRIDE' })
    }
    const blockOverrides = { timestamp: 1n << 60n }
    await assert.rejects(ledger.call({ to: contract }, undefined, { blockOverrides }), { code: 'BAD_OVERRIDE' })
    assert.ok((await ledger.call({ to: contract, data: wordToBytes(1n) })).ok)
  })

  it('is estimated on the state asked for, with overrides', async () => {
    const { ledger, contract } = await withContract(ADDER)
    await ledger.execute(batchOf(ledger, [sign(alice, { nonce: 1n, to: contract, data: wordToBytes(1n) })]))
    const request = { to: contract, data: wordToBytes(1n) }
    const gas = async (at?: bigint, options = {}) => (await ledger.estimateGas(request, at, options)).gasUsed
    const [first, second] = [await gas(1n), await gas()]
    // Writing where nothing was is dearer.
    assert.ok(first - second > 15_000n)
    const overrides = new Map([[contract, { state: new Map([[0n, 0n]]) }]])
    assert.equal(await gas(undefined, { overrides }), first)
  })

  it('can be broken off, and breaks off itself when its state is given up', async () => {
    const pause = () => new Promise((resolve) => setImmediate(resolve))
    const { ledger, contract } = await withContract(LOOP, { history: { blocks: 1 } }, pause)
    const nobody = new AbortController()
    const call = ledger.call({ to: contract, gas: 10_000_000n }, undefined, { signal: nobody.signal })
    setImmediate(() => nobody.abort(new Error('gone')))
    await assert.rejects(call, /gone/)
    await assert.rejects(
      ledger.call({ to: contract }, undefined, { signal: AbortSignal.abort(new Error('late')) }),
      /late/,
    )

    // Reads a slot in each round.
    const { receipts } = await ledger.execute(
      batchOf(ledger, [sign(alice, { nonce: 1n, data: deployer(hexToBytes('5b5a54505f56')), gasLimit: 300_000n })]),
    )
    const reading = ledger.call({ to: receipts[0]!.contractAddress!, gas: 50_000_000n })
    const outcome = reading.then(
      () => 'done',
      (error) => error,
    )
    for (let i = 0; i < 3; i++) await ledger.execute(batchOf(ledger, []))
    const error = await outcome
    assert.ok(error instanceof LedgerError && error.code === 'HISTORIC_STATE', String(error))
    assert.ok((await ledger.call({ to: MODULE, data: Uint8Array.of(OP.count) })).ok)
  })

  it('does not hold up blocks, which go first; and runs beside others', async () => {
    const turns: string[] = []
    const pause = () => new Promise((resolve) => setImmediate(resolve))
    const { ledger, contract } = await withContract(LOOP, { concurrentCalls: 2 }, pause)
    const calls = [0, 1, 2].map((i) =>
      ledger.call({ to: contract, gas: 300_000n }).then(() => void turns.push(`call ${i}`)),
    )
    const block = ledger.execute(batchOf(ledger, [])).then(() => void turns.push('block'))
    await Promise.all([...calls, block])
    assert.deepEqual(turns, ['block', 'call 0', 'call 1', 'call 2'])
  })
})

describe('a large block', () => {
  it('lets others on between and within its transactions; they see the state before it', async () => {
    let pauses = 0
    const pause = () => {
      pauses++
      return new Promise((resolve) => setImmediate(resolve))
    }
    const { ledger, contract } = await withContract(LOOP, {}, pause)
    pauses = 0
    let isOver = false
    const block = ledger
      .execute(
        batchOf(ledger, [
          sign(alice, { nonce: 1n, to: contract, gasLimit: 300_000n }),
          sign(alice, { nonce: 2n, to: bob.address, value: 1n }),
        ]),
      )
      .finally(() => {
        isOver = true
      })
    const seen = new Set<bigint>()
    while (!isOver) {
      seen.add(ledger.getNonce(alice.address)).add(ledger.head.number)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await block
    assert.deepEqual([...seen], [1n])
    // 300,000 gas are 25,000 rounds.
    assert.ok(pauses > 50, `${pauses}`)
    assert.equal(ledger.getNonce(alice.address), 3n)
  })
})
