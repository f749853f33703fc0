import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, before, describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Hex, keccak256, toHex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { CHAIN_ID, keys, LocalChain, LoopWatch, PlainRpc } from '../src/index.ts'

/** Init code that leaves `runtime` as the contract. */
function deploying(runtime: string): Hex {
  const length = (runtime.length / 2).toString(16).padStart(2, '0')
  return `0x60${length}80600a5f395ff3fe${runtime}`
}

/** JUMPDEST PUSH0 POP PUSH0 JUMP: burns all the gas it is given, a cheap step after the other. */
const FOREVER = deploying('5b5f505f56')

/** LOG1 with topic 0, again and again while there are 10,000 gas: 10,700 logs with 2²³ gas. */
const CHATTY = deploying('5b5f5f5fa16127105a115f5700')

/** Stores the first word of the calldata in slots 1 to 200. */
const STORER = deploying('60c85b5f358155600190038060025700')

/** Blocks full of logs: what there is to decode for those who ask about many blocks. */
const LARGE_BLOCKS = 10

/**
 * CPU time in ms for which the thread may be held at a stretch, by whatever is asked: three times what it takes to write
 * down the largest answer on a slow machine. Without turns these requests held it for 5 to 25 s.
 */
const PAUSE_MS_MAX = 1_500

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
      ...(fields['type'] !== 'legacy' && { maxFeePerGas: 10n ** 12n, maxPriorityFeePerGas: 10n ** 6n }),
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
  let watch: LoopWatch

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
    watch = new LoopWatch()
  })
  after(async () => {
    watch.close()
    await chain.remove()
  })

  const height = async () => BigInt(await rpc.ask('eth_blockNumber'))
  /**
   * Attacks again and again until a few transactions went through meanwhile, each in a block of its own, and holds the
   * longest pause of the event loop to its bound.
   */
  const underAttack = async (attack: () => Promise<unknown>, t?: TestContext): Promise<void> => {
    const first = await height()
    let isOver = false
    watch.take()
    const attacking = (async () => {
      do await attack()
      while (!isOver)
    })()
    try {
      for (let i = 0; i < 2; i++) assert.equal((await steady.send())['status'], '0x1')
    } finally {
      isOver = true
      await attacking
    }
    assert.equal((await steady.send())['status'], '0x1')
    assert.ok((await height()) >= first + 3n)
    const pauseMs = watch.take()
    t?.diagnostic(`longest pause: ${Math.round(pauseMs)} ms of CPU time`)
    assert.ok(pauseMs < PAUSE_MS_MAX, `the event loop stood still for ${pauseMs} ms`)
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
      for (let i = 0; i < 4; i++) {
        assert.equal(await code(Array.from({ length: 101 }, (_, id) => call(id))), -32005)
        assert.equal(await code(`${'['.repeat(200_000)}${']'.repeat(200_000)}`), -32005)
        assert.equal(await code(`{"id":1,"method":"eth_call","params":${'['.repeat(40)}${']'.repeat(40)}}`), -32005)
        assert.equal(await code(`"${' '.repeat(2 ** 21)}"`), -32005)
        assert.equal(await code('{"jsonrpc":"2.0",'), -32700)
        assert.equal(await code([]), -32600)
      }
    }
    await underAttack(flood)
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
    await underAttack(async () => {
      const calls = Array.from({ length: 12 }, () => rpc.answer('eth_call', [{ to, gas: '0x1c9c380' }]))
      for (const { error } of await Promise.all(calls)) {
        assert.ok(error?.code === -32005 || /out of gas/.test(error?.message ?? ''), JSON.stringify(error))
      }
    })
  })

  it('traces an expensive transaction only as far as its time and size go, one after the other, while blocks are made', async () => {
    const sender = new Sender(4, rpc)
    const { contractAddress: to } = await sender.send({ to: undefined, data: FOREVER, gas: 200_000n })
    const { status, transactionHash } = await sender.send({ to, gas: 1_500_000n })
    assert.equal(status, '0x0')
    await underAttack(async () => {
      const traces = await Promise.all(
        Array.from({ length: 6 }, () =>
          rpc.answer('debug_traceTransaction', [transactionHash, { enableMemory: true }]),
        ),
      )
      const errors = traces.map(({ error }) => error)
      assert.deepEqual(new Set(errors.map((error) => error?.code)), new Set([-32005]))
      // One runs and two wait; the others are told at once.
      assert.equal(errors.filter((error) => /traces are being worked on or wait/.test(error!.message)).length, 3)
    })
    const short = await rpc
      .ask<{ type: string; error: string }>('debug_traceTransaction', transactionHash, {
        tracer: 'callTracer',
        tracerConfig: { onlyTopCall: true },
      })
      .catch((error: Error) => error)
    // The calls alone fit where the machine is fast enough; else that is said too.
    assert.ok(short instanceof Error ? /timeout/.test(short.message) : short.error === 'out of gas')
  })

  it('closes subscribers that never read, and has no memory of them', async () => {
    await underAttack(async () => {
      const before = await hits('socket_buffered')
      const sockets = await Promise.all(Array.from({ length: 8 }, () => openSocket(chain.url)))
      for (const socket of sockets) {
        socket.write(frame(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_subscribe', params: ['newHeads'] })))
        await once(socket, 'data')
        socket.pause()
        // Asks for blocks that it will not read either.
        const ask = JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'eth_getBlockByNumber', params: ['latest', true] })
        for (let i = 0; i < 3_000; i++) socket.write(frame(ask))
      }
      while ((await hits('socket_buffered')) < before + sockets.length) await sleep(20)
      for (const socket of sockets) socket.destroy()
    })
    const status = (await chain.role.status()) as { rpc: { sockets: number } }
    assert.equal(status.rpc.sockets, 0)
  })

  describe('of a chain with large blocks and old states', () => {
    /** Numbers of the blocks that are dear to decode, and of those that changed 200 slots, each to its place here plus one. */
    const large: bigint[] = []
    const changed: bigint[] = []
    let chatty: Hex
    let storer: Hex
    before(async () => {
      const sender = new Sender(5, rpc)
      chatty = (await sender.send({ to: undefined, data: CHATTY, gas: 200_000n }))['contractAddress'] as Hex
      storer = (await sender.send({ to: undefined, data: STORER, gas: 200_000n }))['contractAddress'] as Hex
      for (let i = 1; i <= LARGE_BLOCKS; i++) {
        for (const [numbers, fields] of [
          [large, { to: chatty, gas: 2n ** 23n }],
          [changed, { to: storer, data: toHex(i, { size: 32 }), gas: 6_000_000n }],
        ] as const) {
          const { status, blockNumber } = await sender.send(fields)
          assert.equal(status, '0x1')
          numbers.push(BigInt(blockNumber!))
        }
      }
      range = { fromBlock: toHex(large[0]!), toBlock: toHex(large[0]! + 19n), ...misleading }
    })

    /** Nothing matches: logs have one topic. The bloom says that it may. */
    const misleading = { topics: [null, toHex(0, { size: 32 })] }
    let range: { fromBlock: Hex; toBlock: Hex; topics: (Hex | null)[] }
    /** Sends a request or a batch, and reads the answer without looking at it: the client is in the same thread. */
    const ask = async (body: unknown): Promise<void> => {
      const headers = { 'content-type': 'application/json' }
      const response = await fetch(chain.url, { method: 'POST', headers, body: JSON.stringify(body) })
      assert.equal(response.status, 200)
      for await (const _ of response.body!);
    }
    const request = (id: number, method: string, params: readonly unknown[]) => ({ jsonrpc: '2.0', id, method, params })
    /** All of these blocks, again and again: no cache holds so many. */
    const numberAt = (index: number) => toHex([...large, ...changed][index % (2 * LARGE_BLOCKS)]!)
    const batchOf = (length: number, method: string, params: (number: Hex) => readonly unknown[]) =>
      Array.from({ length }, (_, id) => request(id, method, params(numberAt(id))))
    const attacks: Record<string, () => Promise<unknown>> = {
      'batches of blocks': () => ask(batchOf(100, 'eth_getBlockByNumber', (number) => [number, true])),
      'batches of receipts': () => ask(batchOf(20, 'eth_getBlockReceipts', (number) => [number])),
      'batches of fee histories': () =>
        ask(Array.from({ length: 10 }, (_, id) => request(id, 'eth_feeHistory', ['0x400', 'latest', [10, 50, 90]]))),
      'many fee histories at once': () =>
        Promise.all(Array.from({ length: 8 }, () => ask(request(1, 'eth_feeHistory', ['0x400', 'latest', [50]])))),
      'searches that look into each block': () =>
        Promise.all(Array.from({ length: 8 }, () => ask(request(1, 'eth_getLogs', [range])))),
      'proofs of old states': () => {
        const slots = Array.from({ length: 200 }, (_, slot) => toHex(slot + 1, { size: 32 }))
        const old = request(1, 'eth_getProof', [storer, slots, toHex(changed[0]!)])
        return Promise.all(Array.from({ length: 8 }, () => ask(old)))
      },
      'many sockets that ask for large blocks at once': async () => {
        const sockets = await Promise.all(Array.from({ length: 8 }, () => openSocket(chain.url)))
        for (const [index, socket] of sockets.entries()) {
          socket.resume()
          for (let i = 0; i < 4; i++) {
            const number = numberAt(3 * index + i)
            socket.write(frame(JSON.stringify(request(i, 'eth_getBlockByNumber', [number, false]))))
          }
        }
        await ask(request(1, 'eth_gasPrice', []))
        for (const socket of sockets) socket.destroy()
      },
    }

    for (const [name, attack] of Object.entries(attacks)) {
      it(`goes on while somebody asks for what is allowed and dear: ${name}`, (t) => underAttack(attack, t))
    }

    it('answers them after all', async () => {
      const history = await rpc.ask<{ reward: Hex[][] }>('eth_feeHistory', '0x10', toHex(changed.at(-1)!), [50])
      assert.equal(history.reward.length, 16)
      assert.deepEqual(await rpc.ask('eth_getLogs', range), [])
      const at = toHex(changed[1]!)
      const proof = await rpc.ask<{ storageProof: { value: Hex }[] }>('eth_getProof', storer, ['0x1'], at)
      assert.equal(proof.storageProof[0]!.value, '0x2')
    })

    it('has grown by no more than what is under way at once, however often it is asked', async () => {
      const round = async () => {
        for (const attack of Object.values(attacks)) await attack()
      }
      await round()
      const before = process.memoryUsage().rss
      await round()
      const grown = process.memoryUsage().rss - before
      assert.ok(grown < 400 * 2 ** 20, `${grown} bytes more`)
    })
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
