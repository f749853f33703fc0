import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bytesToHex, concatBytes, hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import type { Address } from '@cumulus/types'
import { type ExecutedBlock, LedgerHalt } from '../../src/index.ts'
import { wordToBytes } from '../../src/trie/rlp.ts'
import {
  account,
  alice,
  batchOf,
  bob,
  deployer,
  ETHER,
  type Fixture,
  forwarder,
  MODULE,
  OP,
  openLedger,
  params,
  sign,
  word,
} from '../chain/fixture.ts'

const COUNT = Uint8Array.of(OP.count)

/** Executes one block with transactions of Alice. */
function run({ ledger }: Fixture, ...txs: Record<string, unknown>[]): Promise<ExecutedBlock> {
  const nonce = ledger.getNonce(alice.address)
  const raws = txs.map((tx, i) => sign(alice, { nonce: nonce + BigInt(i), gasLimit: 300_000n, ...tx }))
  return ledger.execute(batchOf(ledger, raws))
}

async function deploy(fixture: Fixture, runtime: Uint8Array, value = 0n): Promise<Address> {
  const { receipts } = await run(fixture, { data: deployer(runtime), value })
  assert.ok(receipts[0]!.ok)
  return receipts[0]!.contractAddress!
}

describe('a module', () => {
  it('is called by a transaction', async () => {
    const fixture = await openLedger()
    const { receipts } = await run(fixture, { to: MODULE, data: COUNT, value: 5n })
    assert.ok(receipts[0]!.ok)
    assert.equal(receipts[0]!.gasUsed, 21_000n + 16n + 5_000n)
    assert.equal(receipts[0]!.logs.length, 1)
    assert.deepEqual(fixture.modules.messages, [
      {
        caller: alice.address,
        to: MODULE,
        value: 5n,
        data: COUNT,
        isStatic: false,
        kind: 'call',
        gasLimit: 300_000n - 21_016n,
        origin: alice.address,
      },
    ])
    assert.equal(fixture.ledger.getBalance(MODULE), 5n)
    assert.equal(fixture.ledger.getStorage(MODULE, 0n), 1n)
  })

  it('that reverts keeps neither value nor changes nor logs, and its caller pays for the gas', async () => {
    const fixture = await openLedger()
    const { receipts } = await run(
      fixture,
      { to: MODULE, data: Uint8Array.of(OP.revert), value: 5n },
      { to: MODULE, data: Uint8Array.of(OP.burnGas), value: 5n },
    )
    assert.deepEqual(
      receipts.map(({ ok, gasUsed }) => [ok, gasUsed]),
      [
        [false, 21_000n + 16n + 300n],
        [false, 300_000n],
      ],
    )
    assert.equal(fixture.ledger.getBalance(MODULE), 0n)
  })

  it('is called by contracts, who get what it returns', async () => {
    const fixture = await openLedger()
    const contract = await deploy(fixture, forwarder(MODULE, 'call'))
    const { receipts } = await run(fixture, { to: contract, data: COUNT, value: 3n })
    assert.ok(receipts[0]!.ok)
    assert.deepEqual(
      receipts[0]!.logs.map(({ address }) => address),
      [MODULE],
    )
    const [message] = fixture.modules.messages
    assert.deepEqual(
      { ...message!, gasLimit: 0n },
      {
        caller: contract,
        to: MODULE,
        value: 3n,
        data: COUNT,
        isStatic: false,
        kind: 'call',
        gasLimit: 0n,
        origin: alice.address,
      },
    )
    assert.equal(fixture.ledger.getBalance(MODULE), 3n)
    const { output } = await fixture.ledger.call({ from: bob.address, to: contract, data: COUNT })
    assert.deepEqual([word(output, 0), word(output, 1)], [1n, 2n])
  })

  it('pays a contract that fails in it nothing, takes nothing, and the contract goes on', async () => {
    const fixture = await openLedger()
    const contract = await deploy(fixture, forwarder(MODULE, 'call'))
    const { receipts } = await run(fixture, { to: contract, data: Uint8Array.of(OP.revert), value: 3n })
    assert.ok(receipts[0]!.ok)
    assert.equal(fixture.ledger.getBalance(MODULE), 0n)
    assert.equal(fixture.ledger.getBalance(contract), 3n)
    const { output } = await fixture.ledger.call({ to: contract, data: Uint8Array.of(OP.revert) })
    assert.equal(word(output), 0n)
    assert.deepEqual(output.subarray(32), new TextEncoder().encode('no'))
  })

  it('sees that it may not write', async () => {
    const fixture = await openLedger()
    const contract = await deploy(fixture, forwarder(MODULE, 'staticcall'))
    const { output, ok } = await fixture.ledger.call({ to: contract, data: COUNT })
    assert.ok(ok)
    assert.deepEqual([word(output, 0), word(output, 1)], [1n, 0n])
    assert.deepEqual(
      fixture.modules.messages.map(({ isStatic, kind }) => [isStatic, kind]),
      [[true, 'staticcall']],
    )
  })

  it('sees it through a contract in between', async () => {
    const fixture = await openLedger()
    const inner = await deploy(fixture, forwarder(MODULE, 'call'))
    const outer = await deploy(fixture, forwarder(inner, 'staticcall'))
    await run(fixture, { to: outer, data: COUNT })
    assert.deepEqual(
      fixture.modules.messages.map(({ isStatic, caller }) => [isStatic, caller]),
      [[true, inner]],
    )
    assert.equal(fixture.ledger.getStorage(MODULE, 0n), 0n)
  })

  for (const kind of ['delegatecall', 'callcode'] as const) {
    it(`can refuse ${kind.toUpperCase()}, because it is told`, async () => {
      const fixture = await openLedger()
      const contract = await deploy(fixture, forwarder(MODULE, kind))
      const { receipts } = await run(fixture, { to: contract, data: COUNT })
      assert.ok(receipts[0]!.ok)
      assert.equal(fixture.modules.messages[0]!.kind, kind)
      assert.equal(fixture.ledger.getStorage(contract, 0n), 0n)
      const { output } = await fixture.ledger.call({ to: contract, data: COUNT })
      assert.equal(word(output), 0n)
    })
  }

  it('is not run by an account that delegates to it (EIP-7702)', async () => {
    const fixture = await openLedger()
    const alloc = { [bob.address]: { nonce: 1n, code: concatBytes(hexToBytes('ef0100'), hexToBytes(MODULE)) } }
    const { ledger, modules } = await openLedger({ genesis: { timestampMs: 0, alloc } })
    const { ok, error } = await ledger.call({ to: bob.address, data: COUNT, gas: 100_000n })
    assert.deepEqual([ok, error], [false, 'invalid opcode'])
    assert.equal(modules.messages.length, 0)
    assert.equal(fixture.modules.messages.length, 0)
  })

  it('is an account with code, for tools that ask', async () => {
    const { ledger } = await openLedger()
    assert.deepEqual([ledger.getNonce(MODULE), ledger.getCode(MODULE)], [1n, Uint8Array.of(0xfe)])
  })

  it('loses what it did when the contract that called it reverts', async () => {
    const fixture = await openLedger()
    // CALL the module with one byte 01, then REVERT.
    const contract = await deploy(fixture, hexToBytes(`60015f535f5f60015f5f73${MODULE.slice(2)}5af1505f5ffd`))
    const { receipts } = await run(fixture, { to: contract })
    assert.deepEqual([receipts[0]!.ok, receipts[0]!.logs], [false, []])
    assert.equal(fixture.modules.messages.length, 1)
    assert.equal(fixture.ledger.getStorage(MODULE, 0n), 0n)
  })
})

describe('a module that throws anything but a revert', () => {
  for (const [how, op] of [
    ['throws', OP.bug],
    ['claims more gas than it was given', OP.lieAboutGas],
  ] as const) {
    for (const through of ['a transaction', 'a contract'] as const) {
      it(`halts the ledger: it ${how}, called by ${through}`, async () => {
        const fixture = await openLedger()
        const { ledger, store } = fixture
        const to = through === 'a contract' ? await deploy(fixture, forwarder(MODULE, 'call')) : MODULE
        const before = store.clone()
        const error: unknown = await run(fixture, { to, data: Uint8Array.of(op) }).catch((error) => error)
        assert.ok(error instanceof LedgerHalt)
        assert.match(error.message, /module 0x0*c99/)
        if (op === OP.bug) assert.ok(error.cause instanceof TypeError)
        assert.equal(ledger.halted, error)
        assert.ok(store.equals(before))
        await assert.rejects(run(fixture, { to: bob.address }), LedgerHalt)
      })
    }
  }

  it('halts the ledger from its block hook', async () => {
    const fixture = await openLedger()
    fixture.modules.hookBug = true
    await assert.rejects(
      run(fixture),
      (error: LedgerHalt) => error instanceof LedgerHalt && error.cause instanceof Error,
    )
    assert.ok(fixture.ledger.halted)
  })

  it('leaves no transient storage behind when it breaks off a call', async () => {
    const fixture = await openLedger()
    // With calldata: TSTORE 7 at 0, then the module with one byte 03. Without: TLOAD 0 and return it.
    const code = hexToBytes(`36600c575f5c5f5260205ff35b60075f5d60035f535f5f60015f5f73${MODULE.slice(2)}5af1`)
    const contract = await deploy(fixture, code)
    await assert.rejects(fixture.ledger.call({ to: contract, data: Uint8Array.of(1) }), LedgerHalt)
    const { ok, output } = await fixture.ledger.call({ to: contract })
    assert.ok(ok)
    assert.equal(word(output), 0n)
  })

  it('fails a mere call, and the ledger goes on with a clean state', async () => {
    const fixture = await openLedger()
    const contract = await deploy(fixture, forwarder(MODULE, 'call'))
    await assert.rejects(
      fixture.ledger.call({ from: alice.address, to: contract, data: Uint8Array.of(OP.bug), value: 1n }),
      LedgerHalt,
    )
    assert.equal(fixture.ledger.halted, undefined)
    const { receipts } = await run(fixture, { to: contract, data: COUNT })
    assert.ok(receipts[0]!.ok)
    const other = await openLedger()
    await deploy(other, forwarder(MODULE, 'call'))
    assert.deepEqual((await run(other, { to: contract, data: COUNT })).header, fixture.ledger.head)
  })
})

describe('the EVM here', () => {
  it('fails point evaluation on every node and takes all its gas', async () => {
    const { ledger } = await openLedger()
    const pointEvaluation: Address = '0x000000000000000000000000000000000000000a'
    const direct = await ledger.call({ to: pointEvaluation, data: new Uint8Array(192), gas: 100_000n })
    assert.deepEqual([direct.ok, direct.gasUsed], [false, 100_000n])
  })

  it('recovers signers with our library, and answers nothing where there is none', async () => {
    const { ledger } = await openLedger()
    const ecrecover: Address = '0x0000000000000000000000000000000000000001'
    const raw = sign(alice, { type: 1, nonce: 0n, to: bob.address, chainId: BigInt(params.chainId) })
    const { decodeTransaction } = await import('../../src/index.ts')
    const { encodeRlp, decodeRlp } = await import('../../src/trie/rlp.ts')
    const tx = decodeTransaction(raw)
    const fields = decodeRlp(raw.subarray(1)) as Uint8Array[]
    const hash = keccak256(concatBytes(Uint8Array.of(1), encodeRlp(fields.slice(0, -3))))
    const data = (v: bigint) => concatBytes(hash, wordToBytes(v), wordToBytes(tx.r), wordToBytes(tx.s))
    const { output } = await ledger.call({ to: ecrecover, data: data(27n + BigInt(tx.yParity)) })
    assert.equal(bytesToHex(output.subarray(12)), alice.address)
    const nobody = await ledger.call({ to: ecrecover, data: data(29n) })
    assert.deepEqual([nobody.ok, nobody.output.length], [true, 0])
    const garbage = await ledger.call({ to: ecrecover, data: concatBytes(hash, wordToBytes(27n), new Uint8Array(64)) })
    assert.deepEqual([garbage.ok, garbage.output.length], [true, 0])
  })

  it('knows the hashes of blocks before', async () => {
    const fixture = await openLedger()
    // Returns BLOCKHASH of the calldata's first word.
    const contract = await deploy(fixture, hexToBytes('5f35405f5260205ff3'))
    const { ledger } = fixture
    const { output } = await ledger.call({ to: contract, data: wordToBytes(0n) })
    assert.deepEqual(output, ledger.genesisHash)
    assert.equal(word((await ledger.call({ to: contract, data: wordToBytes(5n) })).output), 0n)
  })

  it('forgets transient storage and warmth between transactions', async () => {
    const fixture = await openLedger()
    // TLOAD 0, SSTORE it at 1, TSTORE 7 at 0, return gas left.
    const contract = await deploy(fixture, hexToBytes('5f5c60015560075f5d'))
    const { receipts } = await run(fixture, { to: contract }, { to: contract })
    assert.equal(fixture.ledger.getStorage(contract, 1n), 0n)
    assert.equal(receipts[0]!.gasUsed, receipts[1]!.gasUsed)
  })

  it('moves value to an account that never was, by contract and by transaction', async () => {
    const fixture = await openLedger()
    const contract = await deploy(fixture, forwarder(account(50).address, 'call'))
    await run(fixture, { to: contract, value: ETHER }, { to: account(51).address, value: ETHER })
    for (const i of [50, 51]) assert.equal(fixture.ledger.getBalance(account(i).address), ETHER)
  })
})
