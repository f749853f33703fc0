import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { createGenesis } from '@cumulus/execution'
import { createLogger, createMetrics } from '@cumulus/service'
import {
  type Address,
  createPublicClient,
  createWalletClient,
  defineChain,
  type Hex,
  http,
  keccak256,
  type Log,
  type PublicClient,
  parseGwei,
  toHex,
  webSocket,
} from 'viem'
import { CHAIN_ID, signed, testAccount } from '../../execution/test/transactions.ts'
import { startValidator } from '../src/validator.ts'
import { TestValidator, TOKEN, testGenesis } from './test-validator.ts'

const TOPIC = keccak256(toHex('Stored(uint256)'))

/**
 * Keeps the first word of its calldata in slot 0, logs it under TOPIC, and returns it; reverts without calldata.
 * Init code of 11 bytes copies the rest and returns it.
 */
const runtime = `366009576000 6000fd5b 600035 80600055 600052 7f${TOPIC.slice(2)} 60206000a1 60206000f3`.replaceAll(
  ' ',
  '',
)
const bytecode = `0x60${(runtime.length / 2).toString(16)}80600b6000396000f3${runtime}` as Hex

const chain = defineChain({
  id: CHAIN_ID,
  name: 'test',
  nativeCurrency: { name: 'test', symbol: 'T', decimals: 18 },
  rpcUrls: { default: { http: [] } },
})
const word = (value: number): Hex => toHex(value, { size: 32 })
const receiver: Address = `0x${'bb'.repeat(20)}`

describe('a validator, as viem uses it', () => {
  let validator: TestValidator
  let client: PublicClient
  const wallet = (index: number) =>
    createWalletClient({ account: testAccount(index), chain, transport: http(validator.url) })
  const send = async (raw: Hex) => await client.request({ method: 'eth_sendRawTransaction', params: [raw] })

  before(async () => {
    validator = await TestValidator.start()
    client = createPublicClient({ chain, transport: http(validator.url), pollingInterval: 20 })
  })
  after(() => validator.remove())

  it('takes a transfer, and shows it as soon as it is in a block', async () => {
    const hash = await wallet(0).sendTransaction({ to: receiver, value: 3n * TOKEN })
    const receipt = await client.waitForTransactionReceipt({ hash })
    assert.equal(receipt.status, 'success')
    assert.equal(receipt.gasUsed, 21_000n)
    assert.equal(await client.getBalance({ address: receiver }), 3n * TOKEN)
    const block = await client.getBlock({ blockHash: receipt.blockHash, includeTransactions: true })
    assert.deepEqual(
      [block.transactions[0]!.hash, block.transactions[0]!.from],
      [hash, testAccount(0).address.toLowerCase()],
    )
    assert.equal((await client.getBlock({ blockNumber: block.number - 1n })).hash, block.parentHash)
  })

  it('runs a contract: deployed, estimated, called, reverting, and its logs found by filter and by search', async () => {
    const deployed = await client.waitForTransactionReceipt({
      hash: await wallet(1).deployContract({ abi: [], bytecode }),
    })
    const contract = deployed.contractAddress!
    assert.equal(await client.getCode({ address: contract }), `0x${runtime}`)

    const filter = await client.createEventFilter({ address: contract })
    for (const value of [5, 6]) {
      const hash = await wallet(1).sendTransaction({ to: contract, data: word(value) })
      await client.waitForTransactionReceipt({ hash })
    }
    assert.equal(await client.getStorageAt({ address: contract, slot: '0x0' }), word(6))
    assert.equal((await client.call({ to: contract, data: word(9) })).data, word(9))
    await assert.rejects(client.call({ to: contract }), /execution reverted/)
    await assert.rejects(client.estimateGas({ account: testAccount(1), to: contract }), /execution reverted/)

    const changes = await client.getFilterChanges({ filter })
    assert.deepEqual(
      changes.map(({ data }) => data),
      [word(5), word(6)],
    )
    assert.deepEqual(await client.getFilterChanges({ filter }), [])
    const found = await client.getLogs({ address: contract, fromBlock: 'earliest' })
    assert.deepEqual(
      found.map(({ topics, logIndex }) => [topics, logIndex]),
      [
        [[TOPIC], 0],
        [[TOPIC], 0],
      ],
    )
  })

  it('tells heads and logs to those who subscribe over a WebSocket', async () => {
    const socket = createPublicClient({ chain, transport: webSocket(validator.url.replace('http', 'ws')) })
    const { contractAddress } = await client.waitForTransactionReceipt({
      hash: await wallet(2).deployContract({ abi: [], bytecode }),
    })
    const heads: bigint[] = []
    const logs: Log[] = []
    const both = Promise.withResolvers<void>()
    const stopHeads = socket.watchBlockNumber({ onBlockNumber: (number) => void heads.push(number) })
    const stopLogs = socket.watchEvent({
      address: contractAddress!,
      onLogs: (some) => {
        logs.push(...some)
        if (logs.length === 2) both.resolve()
      },
    })
    // viem subscribes on its own time: a request on the same socket is answered after it.
    await socket.getChainId()
    await new Promise(setImmediate)
    await socket.getChainId()
    for (const value of [1, 2]) {
      const hash = await wallet(2).sendTransaction({ to: contractAddress!, data: word(value) })
      await client.waitForTransactionReceipt({ hash })
    }
    await both.promise
    assert.deepEqual(
      logs.map(({ data }) => data),
      [word(1), word(2)],
    )
    assert.ok(heads.length >= 2)
    stopHeads()
    stopLogs()
    const rpc = await socket.transport.getRpcClient()
    rpc.close()
  })

  it('executes what comes out of order in the order of nonces, and one of two with the same nonce', async () => {
    const account = testAccount(3)
    const [first, second, third] = await Promise.all([0, 1, 2].map((nonce) => signed(account, { nonce })))
    await send(toHex(third!.raw))
    await send(toHex(second!.raw))
    assert.deepEqual(await client.request({ method: 'txpool_status' } as never), { pending: '0x0', queued: '0x2' })
    assert.equal(await client.getTransactionCount({ address: account.address, blockTag: 'pending' }), 0)
    await send(toHex(first!.raw))
    const receipt = await client.waitForTransactionReceipt({ hash: toHex(third!.hash) })
    assert.equal(receipt.status, 'success')
    assert.equal(await client.getTransactionCount({ address: account.address }), 3)
  })

  it('replaces a waiting transaction by one that pays more', async () => {
    const account = testAccount(4)
    const waiting = await signed(account, { nonce: 1, value: 1n })
    const better = await signed(account, { nonce: 1, value: 2n, tip: 20_000n, maxFee: parseGwei('4') })
    await send(toHex(waiting.raw))
    await send(toHex(better.raw))
    await send(toHex((await signed(account, { nonce: 0 })).raw))
    await client.waitForTransactionReceipt({ hash: toHex(better.hash) })
    assert.equal(await client.request({ method: 'eth_getTransactionReceipt', params: [toHex(waiting.hash)] }), null)
  })

  it('answers bad transactions with clear errors, and goes on', async () => {
    const account = testAccount(5)
    const good = await signed(account)
    const raw = toHex(good.raw)
    await send(raw)
    await client.waitForTransactionReceipt({ hash: toHex(good.hash) })
    const cases: [Hex, RegExp][] = [
      ['0x', /malformed transaction/],
      ['0x02', /malformed transaction/],
      [`${raw}00`, /malformed transaction/],
      [`0x02f8ff${raw.slice(8)}`, /malformed transaction/],
      [`0x03${raw.slice(4)}`, /malformed transaction.*type 3/],
      [toHex((await signed(account, { nonce: 1, chainId: 1 })).raw), /invalid chain id/],
      [raw, /nonce too low/],
      [toHex((await signed(account, { nonce: 500 })).raw), /nonce too high/],
      [toHex((await signed(account, { nonce: 1, value: 10n ** 30n })).raw), /insufficient funds/],
      [`0x02${'00'.repeat(131_072)}`, /over the limit/],
    ]
    for (const [bad, message] of cases) {
      const response = await fetch(validator.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_sendRawTransaction', params: [bad] }),
      })
      const { error } = (await response.json()) as { error: { message: string } }
      assert.match(error.message, message)
    }
    const next = await signed(account, { nonce: 1 })
    await send(toHex(next.raw))
    await client.waitForTransactionReceipt({ hash: toHex(next.hash) })
  })

  it('proves accounts against the state root of the head', async () => {
    const address = testAccount(0).address
    const proof = await client.getProof({ address, storageKeys: [] })
    const { stateRoot } = await client.getBlock()
    assert.equal(keccak256(proof.accountProof[0]!), stateRoot)
  })

  it('makes blocks without transactions too, so that time passes', async () => {
    const before = await client.getBlock()
    while ((await client.getBlockNumber({ cacheTime: 0 })) < before.number + 1n)
      await new Promise((resolve) => setTimeout(resolve, 50))
    const after = await client.getBlock()
    assert.ok(after.timestamp >= before.timestamp)
    assert.equal(after.transactions.length, 0)
    assert.notEqual(after.mixHash, before.mixHash)
  })

  it('shows status, health and metrics', async () => {
    const status = (await client.request({ method: 'cumulus_status' } as never)) as Record<string, unknown>
    assert.equal(status['role'], 'validator')
    assert.equal(status['preset'], 'minimal')
    assert.ok(BigInt(status['height'] as string) > 0n)
    assert.deepEqual(await validator.role.status(), JSON.parse(JSON.stringify(await validator.role.status())))
    assert.equal((await validator.role.health()).ok, true)
    assert.equal((await fetch(`${validator.url}/health`)).status, 200)
    const metrics = await validator.metrics.metrics()
    for (const name of [
      'cumulus_chain_height',
      'cumulus_chain_blocks_total{kind="content"}',
      'cumulus_rpc_requests_total',
    ]) {
      assert.ok(metrics.includes(name), name)
    }
  })

  it('keeps its chain over a restart', async () => {
    const before = await client.getBlock()
    await validator.stop()
    await validator.start()
    assert.equal((await client.getBlock({ blockNumber: before.number })).hash, before.hash)
    const hash = await wallet(0).sendTransaction({ to: receiver, value: 1n })
    const receipt = await client.waitForTransactionReceipt({ hash })
    assert.ok(receipt.blockNumber > before.number)
  })
})

describe('a validator that cannot start', () => {
  const context = () => ({
    signal: new AbortController().signal,
    log: createLogger({ name: 'validator', write: () => {} }),
    metrics: createMetrics({ process: false }),
  })

  it('says that its folder is in use, and leaves the other one alone', async () => {
    const validator = await TestValidator.start()
    const config = { dir: validator.dir, genesis: testGenesis(), rpc: { host: '127.0.0.1', port: 0 } }
    await assert.rejects(startValidator(config, context()), { code: 'FOLDER_IN_USE' })
    assert.equal((await validator.role.health()).ok, true)
    await validator.remove()
  })

  it('says that the folder holds another chain, that the genesis is bad, or that the port is taken', async () => {
    const validator = await TestValidator.start()
    await validator.stop()
    const { dir } = validator
    const rpc = { host: '127.0.0.1', port: 0 }
    const other = createGenesis({ preset: 'minimal', timeMs: 1_764_000_000_001, allocations: [] })
    await assert.rejects(startValidator({ dir, genesis: other, rpc }, context()), { code: 'GENESIS_MISMATCH' })
    await assert.rejects(startValidator({ dir, genesis: `${dir}/none.json`, rpc }, context()), {
      code: 'GENESIS_MISSING',
    })
    const onModule = createGenesis({
      preset: 'minimal',
      timeMs: 1_764_000_000_000,
      allocations: [{ address: '0x0000000000000000000000000000000000000c03', balance: 1n }],
    })
    await assert.rejects(startValidator({ dir, genesis: onModule, rpc }, context()), { code: 'GENESIS_MALFORMED' })
    const occupied = createServer().listen(0, '127.0.0.1')
    await once(occupied, 'listening')
    const { port } = occupied.address() as AddressInfo
    await assert.rejects(startValidator({ dir, genesis: testGenesis(), rpc: { host: '127.0.0.1', port } }, context()), {
      code: 'PORT_TAKEN',
    })
    occupied.close()
    // None of these tries left the folder locked or open.
    await validator.start()
    await validator.remove()
  })
})
