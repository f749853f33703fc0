import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import { bytesToHex, hexToBytes, utf8Encode } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { dev } from '@cumulus/params'
import { createBlockHeader } from '@ethereumjs/block'
import { createCustomCommon, Mainnet } from '@ethereumjs/common'
import { fromMerkleStateProof, MerkleStateManager, verifyMerkleStateProof } from '@ethereumjs/statemanager'
import { Address as EvmAddress } from '@ethereumjs/util'
import {
  type DropCode,
  encodeHeader,
  FORK,
  type Genesis,
  hookTransactionHash,
  Ledger,
  LedgerError,
  LedgerHalt,
  type LedgerStore,
  MemoryLedgerStore,
} from '../../src/index.ts'
import { encodeRlp, wordToBytes } from '../../src/trie/rlp.ts'
import { EMPTY_ROOT } from '../../src/trie/trie.ts'
import {
  ADDER,
  account,
  alice,
  batchOf,
  bob,
  carol,
  common,
  deployer,
  ETHER,
  GENESIS_MS,
  genesis,
  MODULE,
  MODULE_EVENT,
  miner,
  OP,
  openLedger,
  params,
  sign,
  TestModule,
  word,
} from './fixture.ts'

const GWEI = 10n ** 9n
const PREDEPLOY = `0x${'dd'.repeat(20)}` as const

describe('a chain block', () => {
  it('moves value, burns the base fee and pays the tip', async () => {
    const { ledger } = await openLedger()
    const fee = ledger.nextBaseFee
    const { receipts, dropped } = await ledger.execute(
      batchOf(ledger, [sign(alice, { nonce: 0n, to: bob.address, value: ETHER })]),
    )
    assert.deepEqual(dropped, [])
    assert.equal(receipts[0]!.gasUsed, 21_000n)
    assert.equal(receipts[0]!.effectiveGasPrice, fee + GWEI)
    assert.equal(ledger.getBalance(bob.address), 1001n * ETHER)
    assert.equal(ledger.getBalance(miner.address), 21_000n * GWEI)
    assert.equal(ledger.getBalance(alice.address), 999n * ETHER - 21_000n * (fee + GWEI))
    assert.equal(ledger.getNonce(alice.address), 1n)
  })

  it('deploys a contract that keeps, logs and reverts', async () => {
    const { ledger } = await openLedger()
    const deployed = await ledger.execute(
      batchOf(ledger, [sign(alice, { nonce: 0n, data: deployer(ADDER), gasLimit: 200_000n })]),
    )
    const contract = deployed.receipts[0]!.contractAddress!
    assert.deepEqual(ledger.getCode(contract), ADDER)
    const send = (nonce: bigint, value: bigint, gasLimit = 100_000n) =>
      sign(alice, { nonce, to: contract, data: wordToBytes(value), gasLimit })
    const called = await ledger.execute(
      batchOf(ledger, [send(1n, 5n), send(2n, 0n), send(3n, 37n), send(4n, 1n, 40_000n), send(5n, 1n, 22_000n)]),
    )
    assert.deepEqual(
      called.receipts.map(({ ok }) => ok),
      [true, false, true, true, false],
    )
    assert.equal(ledger.getStorage(contract, 0n), 43n)
    assert.deepEqual(called.receipts[2]!.logs, [
      { address: contract, topics: [wordToBytes(42n)], data: wordToBytes(42n) },
    ])
    // A revert gives back the rest of the gas; running out of it does not.
    assert.ok(called.receipts[1]!.gasUsed < 30_000n)
    assert.equal(called.receipts[4]!.gasUsed, 22_000n)
  })

  it('may be empty', async () => {
    const { ledger } = await openLedger()
    const { header } = await ledger.execute(batchOf(ledger, []))
    assert.equal(header.number, 1n)
    assert.deepEqual(header.transactionsRoot, EMPTY_ROOT)
    assert.deepEqual(header.receiptsRoot, EMPTY_ROOT)
  })

  it('has a header that the reference implementation hashes the same', async () => {
    const { ledger } = await openLedger()
    const { header } = await ledger.execute(
      batchOf(ledger, [sign(alice, { nonce: 0n, to: MODULE, data: Uint8Array.of(OP.count) })]),
    )
    const reference = createBlockHeader(
      {
        parentHash: header.parentHash,
        coinbase: new EvmAddress(hexToBytes(header.coinbase)),
        stateRoot: header.stateRoot,
        transactionsTrie: header.transactionsRoot,
        receiptTrie: header.receiptsRoot,
        logsBloom: header.logsBloom,
        number: header.number,
        gasLimit: header.gasLimit,
        gasUsed: header.gasUsed,
        timestamp: header.timestamp,
        extraData: header.extraData,
        mixHash: header.prevRandao,
        baseFeePerGas: header.baseFee,
      },
      { common },
    )
    assert.equal(bytesToHex(header.hash), bytesToHex(reference.hash()))
    assert.deepEqual(header.hash, keccak256(encodeHeader(header)))
  })

  it('has the same hash wherever the same batches are executed', async () => {
    const [one, two] = [await openLedger(), await openLedger()]
    for (let nonce = 0n; nonce < 4n; nonce += 2n) {
      const batch = batchOf(one.ledger, [
        sign(alice, { nonce, to: MODULE, data: Uint8Array.of(OP.count) }),
        sign(alice, { nonce: nonce + 1n, data: deployer(ADDER), gasLimit: 200_000n }),
        sign(bob, { nonce, to: carol.address, value: 1n }),
      ])
      await one.ledger.execute(batch)
      await two.ledger.execute(batch)
    }
    assert.deepEqual(one.ledger.head, two.ledger.head)
    assert.ok(one.store.equals(two.store))
  })

  it('raises the base fee after full blocks and lowers it after empty ones', async () => {
    // One slot of 1 s at 21,000 gas a second.
    const { ledger, store } = await openLedger({ params: { ...params, gasPerSecond: 21_000n } })
    const fees = [ledger.nextBaseFee]
    await ledger.execute(
      batchOf(ledger, [
        sign(alice, { nonce: 0n, to: bob.address, gasLimit: 21_000n }),
        sign(bob, { nonce: 0n, to: bob.address, gasLimit: 21_000n }),
      ]),
    )
    fees.push(ledger.nextBaseFee)
    await ledger.execute(batchOf(ledger, []))
    fees.push(ledger.nextBaseFee)
    assert.equal(fees[1]!, fees[0]! + fees[0]! / 48n)
    assert.equal(fees[2]!, fees[1]! - (fees[1]! * 21_000n) / (21_000n * 48n))
    const again = await openLedger({ params: { ...params, gasPerSecond: 21_000n }, store })
    assert.equal(again.ledger.nextBaseFee, fees[2])
  })

  it('binds logs of module hooks by a receipt of their own', async () => {
    const { ledger, modules } = await openLedger()
    modules.hookAt = 1n
    const executed = await ledger.execute(
      batchOf(ledger, [sign(alice, { nonce: 0n, to: MODULE, data: Uint8Array.of(OP.count) })]),
    )
    assert.equal(executed.hookLogs.length, 1)
    assert.equal(ledger.getStorage(MODULE, 2n), 1n)
    const [inTransaction, inHook] = ledger.logs({ fromBlock: 0n, toBlock: 1n, addresses: [MODULE] })
    assert.deepEqual(inTransaction!.transactionHash, executed.transactions[0]!.hash)
    assert.deepEqual(inHook!.transactionHash, hookTransactionHash(1n))
    assert.equal(inHook!.logIndex, 1)
    const { receiptsRoot } = executed.header
    modules.hookAt = undefined
    const other = await openLedger()
    const without = await other.ledger.execute(batchOf(other.ledger, [executed.transactions[0]!.raw]))
    assert.notDeepEqual(without.header.receiptsRoot, receiptsRoot)
  })
})

describe('a transaction is dropped without a trace', () => {
  const elsewhere = createCustomCommon({ chainId: 1, name: 'elsewhere' }, Mainnet, { hardfork: FORK })
  const plain = { nonce: 0n, to: bob.address }
  const cases: [string, Uint8Array, DropCode][] = [
    ['that is no RLP', utf8Encode('hello'), 'MALFORMED'],
    ['that is empty', new Uint8Array(0), 'MALFORMED'],
    ['with a list too few', encodeRlp([1, 2, 3]), 'MALFORMED'],
    ['with bytes behind it', Uint8Array.of(...sign(alice, plain), 0), 'MALFORMED'],
    ['that carries blobs', Uint8Array.of(3, ...sign(alice, plain).subarray(1)), 'MALFORMED'],
    ['of 129 KiB', sign(alice, { ...plain, data: new Uint8Array(129 * 1024), gasLimit: 10_000_000n }), 'MALFORMED'],
    ['for another chain', sign(alice, plain, elsewhere), 'WRONG_CHAIN'],
    ['for another chain, legacy', sign(alice, { ...plain, type: 0 }, elsewhere), 'WRONG_CHAIN'],
    ['with a nonce from the future', sign(alice, { ...plain, nonce: 1n }), 'NONCE_TOO_HIGH'],
    ['that costs more than its sender has', sign(carol, { ...plain, value: ETHER }), 'INSUFFICIENT_FUNDS'],
    ['of an account with nothing', sign(account(9), plain), 'INSUFFICIENT_FUNDS'],
    ['below the base fee', sign(alice, { ...plain, maxFeePerGas: 1n, maxPriorityFeePerGas: 1n }), 'FEE_TOO_LOW'],
    ['with too little gas to begin', sign(alice, { ...plain, gasLimit: 20_999n }), 'INTRINSIC_GAS'],
    [
      'with too little gas for its data',
      sign(alice, { ...plain, data: new Uint8Array(100).fill(1), gasLimit: 24_000n }),
      'INTRINSIC_GAS',
    ],
    ['with more gas than EIP-7825 allows', tooMuchGas(), 'GAS_LIMIT_TOO_HIGH'],
    ['whose signature is not one', forged(sign(alice, plain)), 'BAD_SIGNATURE'],
  ]
  for (const [what, raw, code] of cases) {
    it(`${what}: ${code}`, async () => {
      const { ledger } = await openLedger()
      const good = sign(bob, { nonce: 0n, to: carol.address, value: 5n })
      const { dropped, receipts, header } = await ledger.execute(batchOf(ledger, [raw, good]))
      assert.deepEqual(
        dropped.map(({ index, code }) => ({ index, code })),
        [{ index: 0, code }],
      )
      assert.ok(receipts.length === 1 && receipts[0]!.ok)
      const alone = await openLedger()
      const expected = await alone.ledger.execute(batchOf(alone.ledger, [good]))
      assert.deepEqual(header, expected.header)
    })
  }

  it('when it comes again: NONCE_TOO_LOW', async () => {
    const { ledger } = await openLedger()
    const raw = sign(alice, plain)
    const first = await ledger.execute(batchOf(ledger, [raw, raw]))
    assert.deepEqual(
      first.dropped.map(({ code }) => code),
      ['NONCE_TOO_LOW'],
    )
    const second = await ledger.execute(batchOf(ledger, [raw]))
    assert.deepEqual(
      second.dropped.map(({ code }) => code),
      ['NONCE_TOO_LOW'],
    )
  })

  it('when the block has no room: BLOCK_FULL, and the rest is still looked at', async () => {
    const { ledger } = await openLedger({ params: { ...params, blockGasLimit: 50_000n } })
    const { dropped, receipts } = await ledger.execute(
      batchOf(ledger, [
        sign(alice, { ...plain, gasLimit: 25_000n }),
        sign(bob, { ...plain, gasLimit: 49_000n }),
        sign(carol, { ...plain, gasLimit: 25_000n }),
      ]),
    )
    assert.deepEqual(
      dropped.map(({ index, code }) => ({ index, code })),
      [{ index: 1, code: 'BLOCK_FULL' }],
    )
    assert.equal(receipts.length, 2)
  })

  it('when its sender is a contract: SENDER_HAS_CODE', async () => {
    const alloc = { ...genesis.alloc, [alice.address]: { balance: ETHER, code: ADDER, nonce: 0n } }
    const { ledger } = await openLedger({ genesis: { ...genesis, alloc } })
    const { dropped } = await ledger.execute(batchOf(ledger, [sign(alice, plain)]))
    assert.deepEqual(
      dropped.map(({ code }) => code),
      ['SENDER_HAS_CODE'],
    )
  })

  function tooMuchGas(): Uint8Array {
    // The reference refuses to make one under Osaka's rules.
    const before = createCustomCommon({ chainId: params.chainId, name: 'before' }, Mainnet, { hardfork: 'prague' })
    return sign(alice, { ...plain, gasLimit: (1n << 24n) + 1n }, before)
  }

  function forged(raw: Uint8Array): Uint8Array {
    const s = raw.slice()
    // The last 32 bytes are s: all ones is above half the order.
    s.fill(0xff, -32)
    return s
  }
})

describe('a ledger', () => {
  it('opens where it left off', async () => {
    const { ledger, store, modules } = await openLedger()
    await ledger.execute(batchOf(ledger, [sign(alice, { nonce: 0n, to: bob.address, value: 1n })]))
    const again = await Ledger.open({ params, genesis, store, modules })
    assert.deepEqual(again.head, ledger.head)
    const batch = batchOf(ledger, [sign(alice, { nonce: 1n, to: MODULE, data: Uint8Array.of(OP.count) })])
    const expected = await ledger.execute(batch)
    const copy = store.clone()
    const reopened = await Ledger.open({ params, genesis, store: copy, modules })
    assert.deepEqual(reopened.head, expected.header)
  })

  it('refuses a store with another genesis, and says so', async () => {
    const { store } = await openLedger()
    const changed = [
      { genesis: { ...genesis, timestampMs: GENESIS_MS + 1 } },
      { genesis: { ...genesis, alloc: { ...genesis.alloc, [carol.address]: { balance: 2n } } } },
      { params: { ...params, graceEpochs: params.graceEpochs + 1 } },
      { params: { ...params, classes: dev.classes } },
      { genesis: { ...genesis, alloc: { ...genesis.alloc, [miner.address]: { code: ADDER } } } },
      { genesis: { ...genesis, baseFee: 7n } },
      { genesis: { ...genesis, attestation: { simulated: true, measurements: [] } } },
      { genesis: { ...genesis, predeploys: [{ name: 'Adder', address: PREDEPLOY, code: ADDER }] } },
      { genesis: { ...genesis, predeploys: [{ name: 'Adder', address: PREDEPLOY, creationCode: deployer(ADDER) }] } },
    ]
    for (const change of changed) {
      await assert.rejects(
        openLedger({ store, ...change }),
        (error) => error instanceof LedgerError && error.code === 'OTHER_GENESIS',
      )
    }
  })

  it('does not make the first block again in a store that began with the same', async () => {
    const { store, ledger } = await openLedger()
    /** How often the first block is made while the store is opened. */
    const made = async (given: Genesis) => {
      const modules = new TestModule()
      const make = mock.method(modules, 'genesis')
      const opened = await openLedger({ store, modules, genesis: given })
      assert.deepEqual(opened.ledger.genesisHash, ledger.genesisHash)
      return make.mock.callCount()
    }
    assert.equal(await made({ ...genesis, alloc: { ...genesis.alloc } }), 0)
    // What is not known to be the same is made, and known from then on.
    const explicit = { ...genesis, baseFee: 10n ** 9n }
    assert.equal(await made(explicit), 1)
    assert.equal(await made(explicit), 0)
  })

  it('opens a store that does not say what it began with', async () => {
    const { store, ledger } = await openLedger()
    store.write([{ table: 'meta', key: utf8Encode('genesis-inputs'), value: undefined }])
    const other = { ...genesis, timestampMs: GENESIS_MS + 1 }
    await assert.rejects(openLedger({ store, genesis: other }), { code: 'OTHER_GENESIS' })
    const { ledger: again } = await openLedger({ store })
    assert.deepEqual(again.head, ledger.head)
    assert.ok(store.get('meta', utf8Encode('genesis-inputs')))
  })

  it('refuses a genesis that contradicts itself', async () => {
    const mixed = alice.address.toUpperCase().replace('0X', '0x') as typeof alice.address
    for (const alloc of [{ [MODULE]: {} }, { ...genesis.alloc, [mixed]: {} }, { '0x12': {} }]) {
      await assert.rejects(
        openLedger({ genesis: { ...genesis, alloc } }),
        (error) => error instanceof LedgerError && error.code === 'BAD_GENESIS',
      )
    }
  })

  it('refuses a batch that does not follow, and goes on', async () => {
    const { ledger } = await openLedger()
    const batch = batchOf(ledger, [])
    for (const wrong of [
      { number: 2n },
      { number: 0n },
      { timestampMs: GENESIS_MS - 1 },
      { timestampMs: 1.5 },
      { prevRandao: new Uint8Array(31) },
    ]) {
      await assert.rejects(
        ledger.execute({ ...batch, ...wrong }),
        (error) => error instanceof LedgerError && error.code === 'BAD_BATCH',
      )
    }
    assert.equal((await ledger.execute(batch)).header.number, 1n)
  })

  // Within a write the store answers for itself: all or nothing. See the tests of LMDB's, which is killed at each row.
  for (const dies of ['before', 'after'] as const) {
    it(`halts where its store dies ${dies} a write, and goes on from a whole block`, async () => {
      const inner = new MemoryLedgerStore()
      let isDying = false
      const store: LedgerStore = {
        get: (table, key) => inner.get(table, key),
        keys: (...range) => inner.keys(...range),
        write: (batch) => {
          if (!isDying || dies === 'after') inner.write(batch)
          if (isDying) throw new Error('disk is gone')
        },
      }
      const modules = new TestModule()
      const ledger = await Ledger.open({ params, genesis, store, modules })
      const first = [sign(alice, { nonce: 0n, to: bob.address, value: 1n })]
      await ledger.execute(batchOf(ledger, first))
      const head = ledger.head
      const batch = batchOf(ledger, [sign(alice, { nonce: 1n, to: MODULE, data: Uint8Array.of(OP.count) })])
      isDying = true
      await assert.rejects(ledger.execute(batch), LedgerHalt)
      // It does not pretend afterwards, even if the store is well again.
      assert.deepEqual(ledger.head, head)
      isDying = false
      await assert.rejects(ledger.execute(batch), LedgerHalt)
      await assert.rejects(ledger.call({ to: MODULE }), LedgerHalt)

      const untroubled = await openLedger()
      await untroubled.ledger.execute(batchOf(untroubled.ledger, first))
      const again = await Ledger.open({ params, genesis, store, modules })
      if (dies === 'before') {
        assert.deepEqual(again.head, head)
        assert.equal(again.getStorage(MODULE, 0n), 0n)
        await again.execute(batch)
      }
      const { header } = await untroubled.ledger.execute(batch)
      assert.deepEqual(again.head, header)
      assert.ok(inner.equals(untroubled.store))
    })
  }

  it('is not fooled by a store that answers in one buffer used again and again', async () => {
    const inner = new MemoryLedgerStore()
    const scratch = Buffer.alloc(65_536)
    const store: LedgerStore = {
      get: (table, key) => {
        const value = inner.get(table, key)
        scratch.fill(0xee)
        return value && scratch.subarray(0, scratch.set(value) ?? value.length)
      },
      keys: (...range) => inner.keys(...range).map((key) => Buffer.from(key)),
      write: (batch) => inner.write(batch),
    }
    const forgetful = { state: { cachedAccounts: 1, cachedSlots: 1 }, trieNodes: 1 }
    const [ours, plain] = [
      await Ledger.open({ params, genesis, store, modules: new TestModule(), limits: forgetful }),
      (await openLedger()).ledger,
    ]
    const first = batchOf(plain, [sign(alice, { nonce: 0n, data: deployer(ADDER), gasLimit: 200_000n })])
    const contract = (await plain.execute(first)).receipts[0]!.contractAddress!
    await ours.execute(first)
    for (let nonce = 1n; nonce < 4n; nonce++) {
      const batch = batchOf(plain, [sign(alice, { nonce, to: contract, data: wordToBytes(nonce) })])
      const { header } = await plain.execute(batch)
      assert.deepEqual((await ours.execute(batch)).header, header)
      assert.deepEqual(ours.block(header.hash)!.receipts, plain.block(header.hash)!.receipts)
    }
    const asked = { fromBlock: 0n, toBlock: 9n }
    assert.deepEqual(ours.logs(asked), plain.logs(asked))
    assert.deepEqual(ours.getCode(contract), ADDER)
    assert.deepEqual(await ours.prove(contract, [0n]), await plain.prove(contract, [0n]))
  })

  it('makes each block one write', async () => {
    const batches: number[] = []
    const inner = new MemoryLedgerStore()
    const store: LedgerStore = {
      get: (table, key) => inner.get(table, key),
      keys: (...range) => inner.keys(...range),
      write: (batch) => {
        batches.push(batch.length)
        inner.write(batch)
      },
    }
    const ledger = await Ledger.open({ params, genesis, store, modules: new TestModule() })
    await ledger.execute(batchOf(ledger, [sign(alice, { nonce: 0n, to: bob.address, value: 1n })]))
    await ledger.call({ to: bob.address })
    assert.equal(batches.length, 2)
  })

  it('executes in turn what is asked for at once', async () => {
    const { ledger } = await openLedger()
    const contract = sign(alice, { nonce: 0n, data: deployer(ADDER), gasLimit: 200_000n })
    const first = batchOf(ledger, [contract])
    const second = { ...first, number: 2n, transactions: [sign(alice, { nonce: 1n, to: bob.address })] }
    const [one, call, two] = await Promise.all([
      ledger.execute(first),
      ledger.call({ data: deployer(ADDER) }),
      ledger.execute(second),
    ])
    assert.deepEqual([one.header.number, call.ok, two.header.number], [1n, true, 2n])
  })

  it('counts epochs and eras from genesis', async () => {
    const { ledger, modules } = await openLedger()
    const epochMs = params.slotMs * params.slotsPerEpoch
    const contexts: number[][] = []
    modules.onBlock = (_, block) => {
      contexts.push([block.epoch, block.era])
      return []
    }
    for (const ms of [0, epochMs - 1, epochMs, epochMs * params.epochsPerEra]) {
      await ledger.execute(batchOf(ledger, [], { timestampMs: GENESIS_MS + ms }))
    }
    assert.deepEqual(contexts, [
      [0, 0],
      [0, 0],
      [1, 0],
      [params.epochsPerEra, 1],
    ])
  })

  it('keeps its state right when it may remember next to nothing', async () => {
    const state = { cachedAccounts: 1, cachedSlots: 1, cachedCodeBytes: 1 }
    const forgetful = await openLedger({ limits: { state, trieNodes: 1 } })
    const { ledger } = await openLedger()
    for (let nonce = 0n; nonce < 6n; nonce++) {
      const batch = batchOf(ledger, [
        sign(alice, { nonce: 2n * nonce, to: MODULE, data: Uint8Array.of(OP.count) }),
        sign(alice, { nonce: 2n * nonce + 1n, to: account(Number(nonce) + 40).address, value: nonce }),
      ])
      await ledger.execute(batch)
      await forgetful.ledger.execute(batch)
    }
    assert.deepEqual(forgetful.ledger.head, ledger.head)
  })
})

describe('what a ledger answers', () => {
  async function withHistory() {
    const fixture = await openLedger()
    const { ledger } = fixture
    const first = await ledger.execute(
      batchOf(ledger, [sign(alice, { nonce: 0n, data: deployer(ADDER), gasLimit: 200_000n })]),
    )
    const contract = first.receipts[0]!.contractAddress!
    const second = await ledger.execute(
      batchOf(ledger, [
        sign(alice, { nonce: 1n, to: contract, data: wordToBytes(5n), type: 0 }),
        sign(bob, { nonce: 0n, to: MODULE, data: Uint8Array.of(OP.count), type: 1 }),
        sign(bob, { nonce: 1n, to: contract, data: wordToBytes(6n) }),
      ]),
    )
    await ledger.execute(batchOf(ledger, []))
    return { ...fixture, contract, first, second }
  }

  it('finds blocks by number and hash, and transactions by hash', async () => {
    const { ledger, second } = await withHistory()
    assert.deepEqual(ledger.header(2n), second.header)
    assert.deepEqual(ledger.header(second.header.hash), second.header)
    assert.equal(ledger.header(4n), undefined)
    assert.equal(ledger.header(new Uint8Array(32)), undefined)
    const block = ledger.block(2n)!
    assert.deepEqual(block.receipts, second.receipts)
    assert.deepEqual(
      block.transactions.map(({ raw }) => raw),
      second.transactions.map(({ raw }) => raw),
    )
    const place = ledger.transaction(second.transactions[2]!.hash)!
    assert.deepEqual(
      [place.index, place.firstLogIndex, place.header.number, place.transaction.sender],
      [2, 2, 2n, bob.address],
    )
    assert.deepEqual(place.receipt, second.receipts[2])
    assert.equal(ledger.transaction(new Uint8Array(32)), undefined)
  })

  it('filters logs by address and topics', async () => {
    const { ledger, contract, second } = await withHistory()
    const range = { fromBlock: 0n, toBlock: 99n }
    const indices = (filter: object) => ledger.logs({ ...range, ...filter }).map(({ logIndex }) => logIndex)
    assert.deepEqual(indices({}), [0, 1, 2])
    assert.deepEqual(indices({ addresses: [contract] }), [0, 2])
    assert.deepEqual(indices({ addresses: [MODULE, contract] }), [0, 1, 2])
    assert.deepEqual(indices({ topics: [[MODULE_EVENT]] }), [1])
    assert.deepEqual(indices({ topics: [[wordToBytes(5n), wordToBytes(11n)]] }), [0, 2])
    assert.deepEqual(indices({ addresses: [contract], topics: [[MODULE_EVENT]] }), [])
    assert.deepEqual(indices({ topics: [undefined, [MODULE_EVENT]] }), [])
    assert.deepEqual(indices({ fromBlock: 3n }), [])
    const [log] = ledger.logs({ ...range, addresses: [MODULE] })
    assert.deepEqual([log!.blockNumber, log!.transactionIndex], [2n, 1])
    assert.deepEqual(log!.transactionHash, second.transactions[1]!.hash)
  })

  it('limits queries for logs', async () => {
    const { ledger } = await openLedger({ limits: { logBlocks: 2, logResults: 1 } })
    for (let nonce = 0n; nonce < 3n; nonce++) {
      await ledger.execute(batchOf(ledger, [sign(bob, { nonce, to: MODULE, data: Uint8Array.of(OP.count) })]))
    }
    const tooMuch = (error: unknown) => error instanceof LedgerError && error.code === 'TOO_MUCH'
    assert.throws(() => ledger.logs({ fromBlock: 1n, toBlock: 3n }), tooMuch)
    assert.throws(() => ledger.logs({ fromBlock: 1n, toBlock: 2n }), tooMuch)
    assert.equal(ledger.logs({ fromBlock: 3n, toBlock: 10n ** 18n }).length, 1)
  })

  it('calls without leaving a trace', async () => {
    const { ledger, contract, store } = await withHistory()
    const before = store.clone()
    const call = await ledger.call({ from: carol.address, to: contract, data: wordToBytes(100n) })
    assert.ok(call.ok)
    assert.equal(word(call.output), 111n)
    assert.equal(call.logs.length, 1)
    assert.equal(word((await ledger.call({ to: contract, data: wordToBytes(100n) })).output), 111n)
    assert.ok(store.equals(before))
    const calm = (await withHistory()).ledger
    for (const one of [ledger, calm]) await one.execute(batchOf(one, []))
    assert.deepEqual(ledger.head, calm.head)
  })

  it('hands out revert data of a call', async () => {
    const { ledger, contract } = await withHistory()
    const { ok, error, output } = await ledger.call({ to: contract, data: wordToBytes(0n) })
    assert.deepEqual([ok, error, output], [false, 'revert', Uint8Array.of(0xde, 0xad)])
    const poor = await ledger.call({ from: account(9).address, to: bob.address, value: 1n })
    assert.deepEqual([poor.ok, poor.error], [false, 'insufficient balance'])
  })

  it('estimates gas that suffices, and hardly more', async () => {
    const { ledger, contract } = await withHistory()
    const requests = [
      { from: alice.address, to: bob.address, value: 1n },
      { from: alice.address, to: contract, data: wordToBytes(1n) },
      { from: alice.address, to: MODULE, data: Uint8Array.of(OP.count) },
      { from: alice.address, data: deployer(ADDER) },
    ]
    for (const request of requests) {
      const { ok, gasUsed } = await ledger.estimateGas(request)
      assert.ok(ok)
      assert.ok((await ledger.call({ ...request, gas: gasUsed })).ok)
      assert.ok(!(await ledger.call({ ...request, gas: (gasUsed * 98n) / 100n })).ok)
    }
    assert.equal((await ledger.estimateGas(requests[0]!)).gasUsed, 21_000n)
    const failing = await ledger.estimateGas({ to: contract, data: wordToBytes(0n) })
    assert.deepEqual([failing.ok, failing.output], [false, Uint8Array.of(0xde, 0xad)])
  })

  it('proves accounts and slots to the reference implementation', async () => {
    const { ledger, contract } = await withHistory()
    const slots = [0n, 1n]
    const proof = await ledger.prove(contract, slots)
    assert.deepEqual(
      proof.storageProofs.map(({ value }) => value),
      [11n, 0n],
    )
    const hex = (bytes: Uint8Array) => bytesToHex(bytes)
    const asRpc = {
      address: contract,
      balance: `0x${proof.account.balance.toString(16)}` as const,
      nonce: `0x${proof.account.nonce.toString(16)}` as const,
      codeHash: hex(proof.account.codeHash),
      storageHash: hex(proof.account.storageRoot),
      accountProof: proof.accountProof.map(hex),
      storageProof: proof.storageProofs.map(({ slot, value, proof }) => ({
        key: hex(wordToBytes(slot)),
        value: value === 0n ? ('0x' as const) : (`0x${value.toString(16).padStart(2, '0')}` as const),
        proof: proof.map(hex),
      })),
    }
    const verifier = await fromMerkleStateProof(asRpc, true, { common })
    assert.equal(await verifyMerkleStateProof(verifier, asRpc), true)
    assert.equal(hex(await verifier.getStateRoot()), hex(ledger.head.stateRoot))
    assert.ok(verifier instanceof MerkleStateManager)
    const nobody = await ledger.prove(account(77).address, [])
    assert.ok(nobody.account.balance === 0n && nobody.accountProof.length > 0)
  })

  it('turns calls away when too many wait', async () => {
    const { ledger } = await openLedger({ limits: { waitingCalls: 2 } })
    const calls = await Promise.allSettled(
      [1, 2, 3].map(() => ledger.call({ to: MODULE, data: Uint8Array.of(OP.count) })),
    )
    assert.deepEqual(
      calls.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'rejected'],
    )
    assert.equal((calls[2] as PromiseRejectedResult).reason.code, 'BUSY')
    assert.ok((await ledger.call({ to: MODULE, data: Uint8Array.of(OP.count) })).ok)
  })
})
