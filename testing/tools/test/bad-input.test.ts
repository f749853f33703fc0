import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Hex, keccak256, toHex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { CHAIN_ID, keys, LocalChain, PlainRpc } from '../src/index.ts'

/** Init code that leaves `runtime` as the contract. */
function deploying(runtime: string): Hex {
  const length = (runtime.length / 2).toString(16).padStart(2, '0')
  return `0x60${length}80600a5f395ff3fe${runtime}`
}

/** JUMPDEST PUSH0 POP PUSH0 JUMP: burns all the gas it is given, a cheap step after the other. */
const FOREVER = deploying('5b5f505f56')

/** One wallet that signs what it is told, without looking. */
class Sender {
  readonly account
  readonly #rpc: PlainRpc
  nonce = 0

  constructor(index: number, rpc: PlainRpc) {
    this.account = privateKeyToAccount(keys[index]!)
    this.#rpc = rpc
  }

  sign(fields: Record<string, unknown> = {}): Promise<Hex> {
    return this.account.signTransaction({
      type: 'eip1559',
      chainId: CHAIN_ID,
      nonce: this.nonce,
      gas: 21_000n,
      ...(fields['type'] !== 'legacy' && { maxFeePerGas: 10n ** 10n, maxPriorityFeePerGas: 10n ** 6n }),
      to: this.account.address,
      ...fields,
    } as never)
  }

  /** Resolves to the receipt. */
  async send(fields: Record<string, unknown> = {}) {
    const raw = await this.sign(fields)
    this.nonce++
    await this.#rpc.ask('eth_sendRawTransaction', raw)
    return this.#rpc.receipt(keccak256(raw))
  }
}

/** A WebSocket by hand, which can stop reading. */
async function openSocket(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {})
  await once(socket, 'connect')
  const key = Buffer.from('0123456789abcdef').toString('base64')
  socket.write(
    `GET / HTTP/1.1\r\nhost: ${hostname}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n\r\n`,
  )
  await once(socket, 'data')
  return socket
}

/** A masked text frame whose mask is zero. */
function frame(text: string): Buffer {
  const body = Buffer.from(text)
  const head =
    body.length < 126
      ? Buffer.of(0x81, 0x80 | body.length)
      : Buffer.of(0x81, 0x80 | 126, body.length >> 8, body.length & 255)
  return Buffer.concat([head, Buffer.alloc(4), body])
}

describe('a node under bad input', () => {
  let chain: LocalChain
  let rpc: PlainRpc
  /** Sends all the while: its blocks show that the chain goes on. */
  let steady: Sender

  before(async () => {
    chain = await LocalChain.start({
      limits: {
        logRangeBlocksMax: 20,
        callMsMax: 400,
        traceMsMax: 300,
        tracesWaitingMax: 2,
        socketBufferedBytesMax: 64 * 1024,
      },
    })
    rpc = new PlainRpc(chain.url)
    steady = new Sender(0, rpc)
  })
  after(() => chain.remove())

  const height = async () => BigInt(await rpc.ask('eth_blockNumber'))
  /** Runs both until `work` ends; at least one transaction went through meanwhile, and one after it. */
  const whileBlocksAreMade = async (work: Promise<unknown>): Promise<void> => {
    let isDone = false
    const watched = work.finally(() => {
      isDone = true
    })
    const first = await height()
    do assert.equal((await steady.send())['status'], '0x1')
    while (!isDone)
    await watched
    assert.ok((await height()) > first)
  }
  const hits = async (limit: string): Promise<number> => {
    const { values } = await chain.metrics.getSingleMetric('cumulus_rpc_limit_hits_total')!.get()
    return values.find(({ labels }) => labels['limit'] === limit)?.value ?? 0
  }

  it('says of each bad transaction what is wrong with it, and takes the next good one', async () => {
    const sender = new Sender(1, rpc)
    const good = await sender.sign()
    await sender.send()
    const cases: [Hex, string, RegExp][] = [
      ['0x', 'MALFORMED', /^malformed transaction/],
      ['0x02', 'MALFORMED', /^malformed transaction/],
      ['0x02c0', 'MALFORMED', /^malformed transaction/],
      [`${good}00`, 'MALFORMED', /^malformed transaction/],
      [`0x02f8ff${good.slice(8)}`, 'MALFORMED', /^malformed transaction/],
      [`0x02${'f8'.repeat(4_000)}`, 'MALFORMED', /^malformed transaction/],
      [`0x${'c1'.repeat(60_000)}c0`, 'MALFORMED', /^malformed transaction/],
      [`0x03${good.slice(4)}`, 'MALFORMED', /type 3/],
      [good, 'NONCE_TOO_LOW', /^nonce too low/],
      [await sender.sign({ chainId: 1 }), 'WRONG_CHAIN', /^invalid chain id/],
      [await sender.sign({ type: 'legacy', chainId: undefined, gasPrice: 10n ** 10n }), 'WRONG_CHAIN', /EIP-155/],
      [await sender.sign({ nonce: 1_000 }), 'NONCE_TOO_HIGH', /^nonce too high/],
      [await sender.sign({ value: 10n ** 30n }), 'INSUFFICIENT_FUNDS', /^insufficient funds/],
      [await sender.sign({ gas: 20_000n }), 'INTRINSIC_GAS', /^intrinsic gas too low/],
      [await sender.sign({ gas: 2n ** 25n }), 'GAS_LIMIT_TOO_HIGH', /gas limit/],
      [await sender.sign({ maxFeePerGas: 10n ** 10n, maxPriorityFeePerGas: 1n }), 'UNDERPRICED', /underpriced/],
    ]
    for (const [raw, code, message] of cases) {
      const { error } = await rpc.answer('eth_sendRawTransaction', [raw])
      assert.equal(error?.code, -32000, message.source)
      assert.equal((error.data as { code: string }).code, code)
      assert.match(error.message, message)
    }
    const huge = await rpc.answer('eth_sendRawTransaction', [await sender.sign({ data: `0x${'00'.repeat(131_072)}` })])
    assert.equal(huge.error?.code, -32005)
    assert.equal((await sender.send())['status'], '0x1')
  })

  it('keeps what comes behind a gap apart, and executes it when the gap closes', async () => {
    const sender = new Sender(2, rpc)
    const later = await Promise.all([2, 1].map((nonce) => sender.sign({ nonce })))
    for (const raw of later) await rpc.ask('eth_sendRawTransaction', raw)
    const content = await rpc.ask<{ queued: Record<string, object> }>('txpool_contentFrom', sender.account.address)
    assert.deepEqual(Object.keys(content.queued), ['1', '2'])
    await sender.send()
    for (const raw of later) assert.equal((await rpc.receipt(keccak256(raw)))['status'], '0x1')
  })

  it('refuses batch bombs, deep JSON, large bodies and long ranges by their limits, while blocks are made', async () => {
    const call = (id: number) => ({ jsonrpc: '2.0', id, method: 'eth_chainId' })
    const code = async (body: unknown) => ((await rpc.post(body)) as { error: { code: number } }).error.code
    const flood = async () => {
      for (let i = 0; i < 20; i++) {
        assert.equal(await code(Array.from({ length: 101 }, (_, id) => call(id))), -32005)
        assert.equal(await code(`${'['.repeat(200_000)}${']'.repeat(200_000)}`), -32005)
        assert.equal(await code(`{"id":1,"method":"eth_call","params":${'['.repeat(40)}${']'.repeat(40)}}`), -32005)
        assert.equal(await code(`"${' '.repeat(2 ** 21)}"`), -32005)
        assert.equal(await code('{"jsonrpc":"2.0",'), -32700)
        assert.equal(await code([]), -32600)
      }
    }
    await whileBlocksAreMade(flood())
    while ((await height()) < 25n) await steady.send()
    const { error } = await rpc.answer('eth_getLogs', [{ fromBlock: 'earliest', toBlock: 'latest' }])
    assert.equal(error?.code, -32005)
    assert.match(error.message, /at most 20 are searched/)
    const topics = Array.from({ length: 1_001 }, (_, i) => toHex(i, { size: 32 }))
    assert.equal((await rpc.answer('eth_getLogs', [{ topics: [topics] }])).error?.code, -32005)
  })

  it('breaks off calls that take too long, many at once, while blocks are made', async () => {
    const sender = new Sender(3, rpc)
    const { contractAddress: to } = await sender.send({ to: undefined, data: FOREVER, gas: 200_000n })
    const calls = Promise.all(Array.from({ length: 12 }, () => rpc.answer('eth_call', [{ to, gas: '0x1c9c380' }])))
    await whileBlocksAreMade(calls)
    for (const { error } of await calls) {
      assert.ok(error?.code === -32005 || /out of gas/.test(error?.message ?? ''), JSON.stringify(error))
    }
  })

  it('traces an expensive transaction only as far as its time and size go, one after the other, while blocks are made', async () => {
    const sender = new Sender(4, rpc)
    const { contractAddress: to } = await sender.send({ to: undefined, data: FOREVER, gas: 200_000n })
    const { status, transactionHash } = await sender.send({ to, gas: 1_500_000n })
    assert.equal(status, '0x0')
    const traces = Promise.all(
      Array.from({ length: 6 }, () => rpc.answer('debug_traceTransaction', [transactionHash, { enableMemory: true }])),
    )
    await whileBlocksAreMade(traces)
    const errors = (await traces).map(({ error }) => error)
    assert.deepEqual(new Set(errors.map((error) => error?.code)), new Set([-32005]))
    // One runs and two wait; the others are told at once.
    assert.equal(errors.filter((error) => /traces are being worked on or wait/.test(error!.message)).length, 3)
    const short = await rpc
      .ask<{ type: string; error: string }>('debug_traceTransaction', transactionHash, {
        tracer: 'callTracer',
        tracerConfig: { onlyTopCall: true },
      })
      .catch((error: Error) => error)
    // The calls alone fit where the machine is fast enough; else that is said too.
    assert.ok(short instanceof Error ? /timeout/.test(short.message) : short.error === 'out of gas')
  })

  it('closes a subscriber that never reads, and has no memory of it', async () => {
    const sockets = await Promise.all(Array.from({ length: 8 }, () => openSocket(chain.url)))
    for (const socket of sockets) {
      socket.write(frame(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_subscribe', params: ['newHeads'] })))
      await once(socket, 'data')
      socket.pause()
      // Asks for blocks that it will not read either.
      const ask = JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'eth_getBlockByNumber', params: ['latest', true] })
      for (let i = 0; i < 3_000; i++) socket.write(frame(ask))
    }
    const gone = async () => {
      while ((await hits('socket_buffered')) < sockets.length) await sleep(20)
    }
    await whileBlocksAreMade(gone())
    for (const socket of sockets) socket.destroy()
    const status = (await chain.role.status()) as { rpc: { sockets: number } }
    assert.equal(status.rpc.sockets, 0)
  })

  it('is none the larger for all of it', async () => {
    const code = async (body: string) => ((await rpc.post(body)) as { error: { code: number } }).error.code
    const bomb = `${'[{},'.repeat(150_000)}0${']'.repeat(150_000)}`
    for (let i = 0; i < 10; i++) assert.equal(await code(bomb), -32005)
    const before = process.memoryUsage().rss
    for (let i = 0; i < 100; i++) assert.equal(await code(bomb), -32005)
    assert.ok(process.memoryUsage().rss - before < 200 * 2 ** 20)
    assert.equal((await steady.send())['status'], '0x1')
  })
})
