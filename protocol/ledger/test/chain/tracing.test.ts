import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'
import { encodeErrorResult } from 'viem'
import { type CallFrame, type Ledger, LedgerError, type StructLogTrace } from '../../src/index.ts'
import { wordToBytes } from '../../src/trie/rlp.ts'
import {
  ADDER,
  alice,
  batchOf,
  bob,
  deployer,
  forwarder,
  MODULE,
  MODULE_EVENT,
  OP,
  openLedger,
  sign,
} from './fixture.ts'

/** Runs until its gas is used up. */
const LOOP = hexToBytes('5b5f56')
/** Logs, sends its calldata and value to `target`, logs again, and destroys itself in favour of bob. */
const chatty = (target: Address) =>
  hexToBytes(`5f5fa0${'365f5f37'}5f5f365f3473${target.slice(2)}5af150${'5f5fa0'}73${bob.address.slice(2)}ff`)
const REVERT_DATA = hexToBytes(
  encodeErrorResult({
    abi: [{ type: 'error', name: 'Error', inputs: [{ type: 'string', name: 'message' }] }],
    errorName: 'Error',
    args: ['no such thing'],
  }),
)
/** Reverts with `Error("no such thing")`. */
const GRUMPY = hexToBytes(
  `${[0, 1, 2, 3].map((i) => `7f${padded(REVERT_DATA, i)}60${(32 * i).toString(16).padStart(2, '0')}52`).join('')}60645ffd`,
)

function padded(bytes: Uint8Array, index: number): string {
  const word = new Uint8Array(32)
  word.set(bytes.subarray(32 * index, 32 * index + 32))
  return word.toHex()
}

async function deploy(ledger: Ledger, ...runtimes: Uint8Array[]): Promise<Address[]> {
  const nonce = ledger.getNonce(alice.address)
  const { receipts } = await ledger.execute(
    batchOf(
      ledger,
      runtimes.map((code, i) => sign(alice, { nonce: nonce + BigInt(i), data: deployer(code), gasLimit: 400_000n })),
    ),
  )
  return receipts.map(({ contractAddress }) => contractAddress!)
}

/** Executes one transaction in a block of its own, behind a transfer. */
async function execute(ledger: Ledger, fields: Record<string, unknown>) {
  const nonce = ledger.getNonce(alice.address)
  const { transactions, receipts } = await ledger.execute(
    batchOf(ledger, [
      sign(bob, { nonce: ledger.getNonce(bob.address), to: alice.address, value: 1n }),
      sign(alice, { nonce, gasLimit: 300_000n, ...fields }),
    ]),
  )
  return { hash: transactions[1]!.hash, receipt: receipts[1]! }
}

const calls = (ledger: Ledger, hash: Uint8Array, options = {}) =>
  ledger.traceTransaction(hash, { tracer: 'callTracer', ...options }) as Promise<CallFrame>
const steps = (ledger: Ledger, hash: Uint8Array, options = {}) =>
  ledger.traceTransaction(hash, options) as Promise<StructLogTrace>

describe('the call tracer', () => {
  it('shows who called whom, by which opcode, with what', async () => {
    const { ledger } = await openLedger()
    const [adder] = await deploy(ledger, ADDER)
    const kinds = ['call', 'callcode', 'delegatecall', 'staticcall'] as const
    const forwarders = await deploy(ledger, ...kinds.map((kind) => forwarder(adder!, kind)))
    for (const [i, kind] of kinds.entries()) {
      const data = wordToBytes(5n)
      const { hash, receipt } = await execute(ledger, { to: forwarders[i], data, value: 7n })
      const frame = await calls(ledger, hash)
      const self = forwarders[i]!
      assert.deepEqual(
        [frame.type, frame.from, frame.to, frame.value, frame.gas, frame.gasUsed, frame.input, frame.calls?.length],
        ['CALL', alice.address, self, '0x7', '0x493e0', `0x${receipt.gasUsed.toString(16)}`, bytesToHex(data), 1],
      )
      const inner = frame.calls![0]!
      // The adder writes and takes no offence at value; under STATICCALL it may not.
      assert.deepEqual(
        [inner.type, inner.from, inner.to, inner.value, inner.input],
        [kind.toUpperCase(), self, adder, kind === 'staticcall' ? undefined : '0x7', bytesToHex(data)],
      )
      assert.equal(inner.error, kind === 'staticcall' ? 'write protection' : undefined)
      assert.ok(Number(inner.gasUsed) < Number(frame.gasUsed) && Number(inner.gas) < Number(frame.gas))
      assert.equal(frame.error, undefined)
    }
  })

  it('numbers logs within the block and among the calls of their frame, and shows self-destruction', async () => {
    const { ledger } = await openLedger()
    const [adder] = await deploy(ledger, ADDER)
    const [talker] = await deploy(ledger, chatty(adder!))
    const { hash } = await execute(ledger, { to: talker, data: wordToBytes(3n), value: 2n })
    const frame = await calls(ledger, hash, { withLog: true })
    assert.deepEqual(
      frame.logs!.map(({ address, index, position }) => [address, index, position]),
      [
        [talker, '0x0', '0x0'],
        [talker, '0x2', '0x1'],
      ],
    )
    assert.deepEqual(
      frame.calls!.map(({ type, from, to, value }) => [type, from, to, value]),
      [
        ['CALL', talker, adder, '0x2'],
        ['SELFDESTRUCT', talker, bob.address, '0x0'],
      ],
    )
    assert.deepEqual(frame.calls![0]!.logs, [
      {
        address: adder,
        topics: [bytesToHex(wordToBytes(3n))],
        data: bytesToHex(wordToBytes(3n)),
        index: '0x1',
        position: '0x0',
      },
    ])
    assert.equal((await calls(ledger, hash)).logs, undefined)
    const top = await calls(ledger, hash, { onlyTopCall: true, withLog: true })
    assert.deepEqual([top.calls, top.logs!.length, top.gasUsed], [undefined, 2, frame.gasUsed])
  })

  it('shows module calls, from outside and from contracts, with their events', async () => {
    const { ledger } = await openLedger()
    const [forward] = await deploy(ledger, forwarder(MODULE, 'call'))
    const data = Uint8Array.of(OP.count)
    const direct = await calls(ledger, (await execute(ledger, { to: MODULE, data })).hash, { withLog: true })
    assert.deepEqual([direct.to, direct.output, direct.calls], [MODULE, bytesToHex(wordToBytes(1n)), undefined])
    assert.deepEqual(direct.logs![0]!.topics, [bytesToHex(MODULE_EVENT)])
    const { hash } = await execute(ledger, { to: forward, data })
    const inner = (await calls(ledger, hash, { withLog: true })).calls![0]!
    assert.deepEqual([inner.type, inner.to, inner.gasUsed], ['CALL', MODULE, '0x1388'])
    assert.equal(inner.logs!.length, 1)
    const refused = await execute(ledger, { to: forward, data: Uint8Array.of(OP.revert) })
    assert.equal((await calls(ledger, refused.hash)).calls![0]!.error, 'execution reverted')
  })

  it('shows why something failed, and nothing of the logs of what failed', async () => {
    const { ledger } = await openLedger()
    const [grumpy, loop] = await deploy(ledger, GRUMPY, LOOP)
    const [talker] = await deploy(ledger, chatty(grumpy!))
    const reverted = await calls(ledger, (await execute(ledger, { to: grumpy })).hash)
    assert.deepEqual(
      [reverted.error, reverted.revertReason, reverted.output],
      ['execution reverted', 'no such thing', bytesToHex(REVERT_DATA)],
    )
    const endless = await calls(ledger, (await execute(ledger, { to: loop })).hash)
    assert.deepEqual([endless.error, endless.gasUsed, endless.output], ['out of gas', endless.gas, undefined])
    const { hash } = await execute(ledger, { to: talker, gasLimit: 23_500n, data: wordToBytes(1n) })
    const failed = await calls(ledger, hash, { withLog: true })
    assert.deepEqual([failed.error, failed.logs], ['out of gas', undefined])
    const creation = await calls(ledger, (await execute(ledger, { data: GRUMPY })).hash)
    assert.deepEqual([creation.type, creation.to, creation.error], ['CREATE', undefined, 'execution reverted'])
    const created = await execute(ledger, { data: deployer(ADDER) })
    const frame = await calls(ledger, created.hash)
    assert.deepEqual([frame.to, frame.output], [created.receipt.contractAddress, bytesToHex(ADDER)])
  })
})

describe('the struct logger', () => {
  it('writes down each step; gas adds up', async () => {
    const { ledger } = await openLedger()
    const [adder] = await deploy(ledger, ADDER)
    const { hash, receipt } = await execute(ledger, { to: adder, data: wordToBytes(5n) })
    const trace = await steps(ledger, hash)
    assert.deepEqual([trace.gas, trace.failed], [Number(receipt.gasUsed), false])
    assert.equal(trace.returnValue, bytesToHex(wordToBytes(5n)))
    const logs = trace.structLogs
    assert.deepEqual(
      logs.slice(0, 5).map(({ op, pc, depth }) => [op, pc, depth]),
      [
        ['PUSH0', 0, 1],
        ['CALLDATALOAD', 1, 1],
        ['DUP1', 2, 1],
        ['PUSH1', 3, 1],
        ['JUMPI', 5, 1],
      ],
    )
    assert.deepEqual(logs[2]!.stack, ['0x5'])
    for (let i = 1; i < logs.length; i++) assert.equal(logs[i]!.gas, logs[i - 1]!.gas - logs[i - 1]!.gasCost)
    const intrinsic = 300_000 - logs[0]!.gas
    assert.equal(intrinsic + logs.reduce((sum, { gasCost }) => sum + gasCost, 0), trace.gas)
    const written = logs.find(({ op }) => op === 'SSTORE')!
    assert.deepEqual(written.storage, { [wordToBytes(0n).toHex()]: wordToBytes(5n).toHex() })
    assert.ok(logs.every(({ memory }) => memory === undefined))
    const other = await steps(ledger, hash, { disableStack: true, disableStorage: true, enableMemory: true })
    assert.ok(other.structLogs.every(({ stack, storage }) => stack === undefined && storage === undefined))
    assert.deepEqual(other.structLogs.at(-1)!.memory, [wordToBytes(5n).toHex()])
  })

  it('counts what a call takes along to its cost, and names the step that failed', async () => {
    const { ledger } = await openLedger()
    const [loop] = await deploy(ledger, LOOP)
    const [forward] = await deploy(ledger, forwarder(loop!, 'call'))
    const { hash } = await execute(ledger, { to: forward, gasLimit: 40_000n })
    const { structLogs, failed } = await steps(ledger, hash)
    const index = structLogs.findIndex(({ op }) => op === 'CALL')
    const [call, first] = [structLogs[index]!, structLogs[index + 1]!]
    assert.deepEqual([first.depth, first.gas], [2, call.gasCost - 2_600])
    const next = structLogs.slice(index + 1).find(({ depth }) => depth === 1)!
    assert.equal(next.gas, call.gas - call.gasCost)
    const inner = structLogs.filter(({ depth }) => depth === 2)
    assert.equal(inner.at(-1)!.error, 'out of gas')
    assert.equal(inner.filter(({ error }) => error).length, 1)
    assert.equal(failed, false)
  })

  it('keeps as many steps as asked for, and what came back from calls', async () => {
    const { ledger } = await openLedger()
    const [adder] = await deploy(ledger, ADDER)
    const [forward] = await deploy(ledger, forwarder(adder!, 'call'))
    const { hash, receipt } = await execute(ledger, { to: forward, data: wordToBytes(5n) })
    const short = await steps(ledger, hash, { limit: 3 })
    assert.deepEqual([short.structLogs.length, short.gas], [3, Number(receipt.gasUsed)])
    const { structLogs } = await steps(ledger, hash, { enableReturnData: true })
    assert.equal(structLogs.at(-1)!.returnData, bytesToHex(wordToBytes(5n)))
  })
})

describe('a trace', () => {
  it('runs on the state of its time, behind the transactions before it in its block', async () => {
    const { ledger } = await openLedger()
    const [adder] = await deploy(ledger, ADDER)
    const nonce = ledger.getNonce(alice.address)
    const { transactions, header } = await ledger.execute(
      batchOf(
        ledger,
        [1n, 2n, 4n, 0n].map((value, i) =>
          sign(alice, { nonce: nonce + BigInt(i), to: adder, data: wordToBytes(value) }),
        ),
      ),
    )
    await execute(ledger, { to: adder, data: wordToBytes(100n) })
    const whole = await ledger.traceBlock(header.number, { tracer: 'callTracer' })
    assert.deepEqual(
      whole.map(({ txHash, result }) => [txHash, (result as CallFrame).output]),
      transactions.map(({ hash }, i) => [
        bytesToHex(hash),
        [1n, 3n, 7n].map((sum) => bytesToHex(wordToBytes(sum)))[i] ?? '0xdead',
      ]),
    )
    for (const [i, { hash }] of transactions.entries()) assert.deepEqual(await calls(ledger, hash), whole[i]!.result)
    assert.deepEqual(await ledger.traceBlock(header.hash, { tracer: 'callTracer' }), whole)
    assert.deepEqual(await ledger.traceBlock(0n), [])
  })

  it('of a call runs on the state asked for, overridden where wanted', async () => {
    const { ledger } = await openLedger()
    const [adder] = await deploy(ledger, ADDER)
    await execute(ledger, { to: adder, data: wordToBytes(100n) })
    const request = { to: adder!, data: wordToBytes(1n) }
    const trace = async (at?: bigint, options = {}) =>
      ((await ledger.traceCall(request, at, { tracer: 'callTracer' }, options)) as CallFrame).output
    assert.equal(await trace(), bytesToHex(wordToBytes(101n)))
    assert.equal(await trace(1n), bytesToHex(wordToBytes(1n)))
    const overrides = new Map([[adder!, { stateDiff: new Map([[0n, 41n]]) }]])
    assert.equal(await trace(undefined, { overrides }), bytesToHex(wordToBytes(42n)))
    assert.equal(ledger.getStorage(adder!, 0n), 100n)
  })

  it('is given up when it gets too large, or when nobody wants it any more; blocks go on meanwhile', async () => {
    const pause = () => new Promise((resolve) => setImmediate(resolve))
    const { ledger } = await openLedger({ limits: { traceBytes: 300_000, waitingTraces: 2 }, pause })
    const [loop] = await deploy(ledger, LOOP)
    const { hash } = await execute(ledger, { to: loop, gasLimit: 400_000n })
    const tooMuch = (error: unknown) => error instanceof LedgerError && error.code === 'TOO_MUCH'
    await assert.rejects(steps(ledger, hash), tooMuch)
    assert.ok((await calls(ledger, hash)).error)

    const nobody = new AbortController()
    const running = ledger.traceTransaction(hash, { limit: 10 }, { signal: nobody.signal })
    const waiting = ledger.traceTransaction(hash, { limit: 10 }, { signal: nobody.signal })
    await assert.rejects(steps(ledger, hash), { code: 'BUSY' })
    let isOver = false
    running
      .catch(() => {})
      .then(() => {
        isOver = true
      })
    const { header } = await ledger.execute(batchOf(ledger, []))
    assert.equal(isOver, false)
    nobody.abort(new Error('gone'))
    await assert.rejects(running, /gone/)
    await assert.rejects(waiting, /gone/)
    assert.equal(header.number, ledger.head.number)
    assert.equal((await steps(ledger, hash, { limit: 10 })).structLogs.length, 10)
  })

  it('of a block pauses between transactions that run no code, and is given up there', async () => {
    let pauses = 0
    let goneAt = 0
    const gone = new AbortController()
    const pause = () => {
      if (++pauses === goneAt) gone.abort(new Error('gone'))
      return new Promise((resolve) => setImmediate(resolve))
    }
    const { ledger } = await openLedger({ pause })
    const transfers = Array.from({ length: 10 }, (_, i) =>
      sign(alice, { nonce: BigInt(i), to: bob.address, value: 1n }),
    )
    await ledger.execute(batchOf(ledger, transfers))
    pauses = 100
    assert.equal((await ledger.traceBlock(1n, { tracer: 'callTracer' })).length, 10)
    assert.ok(pauses >= 110, `${pauses}`)
    pauses = 0
    goneAt = 7
    await assert.rejects(ledger.traceBlock(1n, {}, { signal: gone.signal }), /gone/)
    assert.equal(pauses, 7)
  })

  it('is refused of what the chain does not have, or no longer has the state for', async () => {
    const { ledger } = await openLedger({ limits: { history: { blocks: 2 } } })
    const { hash } = await execute(ledger, { to: bob.address })
    await assert.rejects(calls(ledger, new Uint8Array(32)), { code: 'NO_SUCH_TRANSACTION' })
    await assert.rejects(ledger.traceBlock(9n), { code: 'NO_SUCH_BLOCK' })
    assert.equal((await calls(ledger, hash)).to, bob.address)
    for (let i = 0; i < 2; i++) await ledger.execute(batchOf(ledger, []))
    await assert.rejects(calls(ledger, hash), { code: 'HISTORIC_STATE' })
  })
})
