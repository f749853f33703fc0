import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { moduleAbis } from '@cumulus/ledger/modules'
import { minimal } from '@cumulus/params'
import { createLogger, createMetrics } from '@cumulus/service'
import { encodeAbiParameters, encodeErrorResult, encodeEventTopics, type Hex, parseAbi } from 'viem'
import { ChainClient, type ChainClientInit } from '../src/chain-client.ts'
import { ChainError } from '../src/chain-error.ts'
import { FakeChain, FakeNode, hex, refuse } from './fake-node.ts'

const receiver = (index: number): Hex => hex(0x1000n ** 13n + BigInt(index))

describe('a chain client', () => {
  let end: AbortController
  let chain: FakeChain
  let nodes: FakeNode[]
  let node: FakeNode
  const metrics = createMetrics({ process: false })
  const connect = (init: Partial<ChainClientInit> = {}) =>
    ChainClient.connect({
      urls: nodes.map(({ url }) => url),
      privateKey: new Uint8Array(32).fill(7),
      params: minimal,
      log: createLogger({ name: 'chain', write: () => {} }),
      metrics,
      signal: end.signal,
      pollMs: 5,
      sender: { pollMs: 5, resendMs: 40, bumpMs: 60, busyMs: 50 },
      connection: { rounds: 3, roundBaseMs: 5, roundMaxMs: 20 },
      connectTimeoutMs: 100,
      ...init,
    })
  const receivers = () => chain.executed.map(({ to }) => to)

  beforeEach(async () => {
    end = new AbortController()
    chain = new FakeChain()
    nodes = [await new FakeNode(chain).start(), await new FakeNode(chain).start()]
    node = nodes[0]!
  })
  afterEach(async () => {
    end.abort()
    await Promise.all(nodes.map((one) => one.stop()))
  })

  describe('reading', () => {
    it('goes to another node when the first is gone, and stays there', async () => {
      const client = await connect()
      await node.stop()
      assert.equal(await client.blockNumber(), 0n)
      const before = nodes[1]!.httpRequests
      await node.start()
      await client.blockNumber()
      assert.equal(nodes[1]!.httpRequests, before + 1)
    })

    it('sends what is asked in one turn as one request', async () => {
      const client = await connect()
      const before = node.httpRequests
      const balances = await Promise.all(Array.from({ length: 30 }, () => client.balanceOf()))
      assert.deepEqual([balances.length, node.httpRequests - before], [30, 1])
    })

    it('says that nobody answers, and works again when somebody does', async () => {
      const client = await connect()
      await Promise.all(nodes.map((one) => one.stop()))
      await assert.rejects(client.blockNumber(), { code: 'UNREACHABLE' })
      await assert.rejects(connect(), { code: 'UNREACHABLE' })
      await Promise.all(nodes.map((one) => one.start()))
      assert.equal(await client.blockNumber(), 0n)
    })

    it('passes over a node that answers nonsense or too much', async () => {
      const client = await connect({
        connection: { responseBytesMax: 1_000, rounds: 2, roundBaseMs: 5, roundMaxMs: 5 },
      })
      node.garbage = { status: 502, body: '<html>bad gateway</html>' }
      assert.equal(await client.blockNumber(), 0n)
      node.garbage = undefined
      nodes[1]!.garbage = { status: 200, body: 'x'.repeat(2_000) }
      assert.equal(await client.blockNumber(), 0n)
      node.garbage = { status: 200, body: '{"jsonrpc":"2.0","id":0}' }
      nodes[1]!.garbage = node.garbage
      await assert.rejects(client.blockNumber(), { code: 'BAD_ANSWER' })
    })

    it('decodes errors of any module, texts, panics, and what it does not know', async () => {
      const client = await connect()
      const answers: [unknown, object][] = [
        [
          encodeErrorResult({ abi: moduleAbis.Storage.abi, errorName: 'OverQuota', args: [10n, 3n] }),
          { code: 'REVERTED', errorName: 'OverQuota', args: [10n, 3n], nextStep: /larger grant/ },
        ],
        ['0x', { code: 'REVERTED', message: /no reason given/ }],
        ['0x12345678', { code: 'REVERTED', message: /unknown error 0x12345678/ }],
      ]
      for (const [data, expected] of answers) {
        node.override = () => refuse(3, 'execution reverted', data)
        await assert.rejects(client.read('Miners', 'minerCount', []), (error: ChainError) => {
          assert.ok(error instanceof ChainError)
          for (const [key, value] of Object.entries(expected)) {
            const actual = (error as unknown as Record<string, unknown>)[key]
            if (value instanceof RegExp) assert.match(String(actual), value)
            else assert.deepEqual(actual, value)
          }
          return true
        })
      }
      node.override = () => refuse(-32000, 'state of block 5 is not kept any more')
      await assert.rejects(client.read('Miners', 'minerCount', []), { code: 'REFUSED', reason: /not kept/ })
    })

    it('takes no more calls than its limit', async () => {
      const client = await connect({ connection: { callsMax: 5 } })
      const all = await Promise.allSettled(Array.from({ length: 8 }, () => client.blockNumber()))
      assert.equal(all.filter(({ status }) => status === 'rejected').length, 3)
    })
  })

  describe('sending', () => {
    it('uses each nonce once, in the order of the calls', async () => {
      const client = await connect()
      const wanted = Array.from({ length: 20 }, (_, index) => receiver(index))
      await Promise.all(wanted.map((to) => client.transfer(to, 1n)))
      assert.deepEqual(receivers(), wanted)
      assert.equal(client.inFlight, 0)
    })

    it('says why a transaction was reverted where it stood, and asks again where a node does not trace', async () => {
      const client = await connect()
      const reason = (text: string) =>
        encodeErrorResult({ abi: parseAbi(['error Error(string)']), errorName: 'Error', args: [text] })
      for (const traces of [true, false]) {
        node.override = (method, [first]) => {
          const receipt = method === 'eth_getTransactionReceipt' && node.chain.receipts.get(first as Hex)
          if (receipt) return { ...receipt, status: '0x0' }
          if (method === 'debug_traceTransaction')
            return traces ? { output: reason('then') } : refuse(-32601, 'unknown')
          return method === 'eth_call' ? refuse(3, 'execution reverted', reason('now')) : undefined
        }
        await assert.rejects(client.transfer(receiver(1), 1n), { code: 'REVERTED', reason: traces ? 'then' : 'now' })
      }
    })

    it('sends again what a node has forgotten', async () => {
      const client = await connect()
      node.autoMine = false
      const sending = [1, 2, 3].map((index) => client.transfer(receiver(index), 1n))
      while (node.pool.size < 3) await new Promise(setImmediate)
      node.pool.clear()
      node.autoMine = true
      await Promise.all(sending)
      assert.deepEqual(receivers(), [1, 2, 3].map(receiver))
    })

    it('executes once what was taken although its answer was lost', async () => {
      const client = await connect()
      await client.transfer(receiver(0), 1n)
      node.override = (method) => {
        if (method === 'eth_sendRawTransaction') node.dropAnswers = 1
        node.override = undefined
        return undefined
      }
      await client.transfer(receiver(1), 1n)
      await client.transfer(receiver(2), 1n)
      assert.deepEqual(receivers(), [0, 1, 2].map(receiver))
    })

    it('goes on through an outage that begins while it waits', async () => {
      const client = await connect()
      for (const one of nodes) one.autoMine = false
      const sending = client.transfer(receiver(1), 1n)
      while (node.pool.size < 1) await new Promise(setImmediate)
      await Promise.all(nodes.map((one) => one.stop()))
      await assert.rejects(client.blockNumber(), { code: 'UNREACHABLE' })
      node.autoMine = true
      node.pool.clear()
      await node.start()
      await sending
      assert.deepEqual(receivers(), [receiver(1)])
    })

    it('raises the fee of what has become too cheap', async () => {
      const client = await connect()
      node.autoMine = false
      const sending = client.transfer(receiver(1), 1n)
      while (node.pool.size < 1) await new Promise(setImmediate)
      node.baseFee = 1_000_000n
      node.mine()
      assert.equal(chain.executed.length, 0)
      node.autoMine = true
      await sending
      assert.ok(chain.executed[0]!.maxFeePerGas >= 1_000_000n)
    })

    it('takes another nonce when another process used its own, and never executes twice', async () => {
      const [one, two] = [await connect(), await connect()]
      await one.transfer(receiver(0), 1n)
      // Both believe that nonce 1 is theirs.
      await two.transfer(receiver(1), 1n)
      await one.transfer(receiver(2), 1n)
      await two.transfer(receiver(3), 1n)
      assert.deepEqual(receivers(), [0, 1, 2, 3].map(receiver))

      node.autoMine = false
      const waiting = one.transfer(receiver(4), 1n)
      while (node.pool.size < 1) await new Promise(setImmediate)
      // Its transaction is replaced behind its back, and the nonce used.
      const foreign = { ...node.pool.get(4)!, hash: hex(99n), to: receiver(99) }
      node.pool.set(4, foreign)
      node.autoMine = true
      node.mine()
      await waiting
      assert.deepEqual(receivers().slice(4), [receiver(99), receiver(4)])
    })

    it('fills nonces that a dead process left open', async () => {
      const client = await connect()
      node.autoMine = false
      // Two of an earlier process wait; ours comes behind them.
      const ghost = { raw: '0x', hash: hex(7n), maxFeePerGas: 10n ** 9n, to: receiver(50) } as const
      node.pool.set(0, { ...ghost, nonce: 0 })
      node.pool.set(1, { ...ghost, nonce: 1 })
      const sending = client.transfer(receiver(1), 1n)
      while (!node.pool.has(2)) await new Promise(setImmediate)
      node.pool.delete(0)
      node.pool.delete(1)
      node.autoMine = true
      await sending
      const self = client.account.toLowerCase()
      assert.deepEqual(
        receivers().map((to) => to.toLowerCase()),
        [self, self, receiver(1)],
      )
    })

    it('gives up what a chain that began anew cannot take', async () => {
      const client = await connect({ sender: { pollMs: 5, resendMs: 20, gapMax: 3 } })
      chain.nonce = 100
      node.autoMine = false
      const sending = client.transfer(receiver(1), 1n)
      while (node.pool.size < 1) await new Promise(setImmediate)
      chain.nonce = 0
      node.pool.clear()
      await assert.rejects(sending, { code: 'LOST' })
      node.autoMine = true
      await client.transfer(receiver(2), 1n)
      assert.deepEqual(receivers(), [receiver(2)])
    })

    it('tells full pools, refusals and empty accounts apart', async () => {
      const client = await connect()
      const refusing = (message: string) => {
        node.override = (method) => (method === 'eth_sendRawTransaction' ? refuse(-32000, message) : undefined)
      }
      refusing('txpool is full: 10000 transactions wait')
      await assert.rejects(client.transfer(receiver(1), 1n), { code: 'BUSY' })
      refusing('insufficient funds for gas * price + value: balance 1')
      await assert.rejects(client.transfer(receiver(1), 1n), { code: 'INSUFFICIENT_FUNDS', nextStep: /send tokens/ })
      refusing('exceeds block gas limit')
      await assert.rejects(client.transfer(receiver(1), 1n), { code: 'REFUSED' })
      node.override = undefined
      // The nonce of a refused transaction is not lost.
      await client.transfer(receiver(2), 1n)
      assert.deepEqual([receivers(), client.inFlight], [[receiver(2)], 0])
    })

    it('offers more when a node finds it underpriced', async () => {
      const client = await connect()
      let refusals = 0
      node.override = (method) => {
        if (method !== 'eth_sendRawTransaction' || refusals++ >= 2) return undefined
        return refuse(-32000, 'transaction underpriced', { code: 'UNDERPRICED' })
      }
      await client.transfer(receiver(1), 1n)
      assert.equal(refusals, 3)
    })

    it('keeps following what its caller no longer waits for', async () => {
      const client = await connect()
      node.autoMine = false
      const stop = new AbortController()
      const abandoned = client.transfer(receiver(1), 1n, { signal: stop.signal })
      while (node.pool.size < 1) await new Promise(setImmediate)
      stop.abort(new Error('changed my mind'))
      await assert.rejects(abandoned, /changed my mind/)
      node.pool.clear()
      node.autoMine = true
      await client.transfer(receiver(2), 1n)
      assert.deepEqual(receivers(), [1, 2].map(receiver))
    })

    it('rejects what waits when the client ends', async () => {
      const client = await connect()
      node.autoMine = false
      const sending = client.transfer(receiver(1), 1n)
      while (node.pool.size < 1) await new Promise(setImmediate)
      end.abort(new Error('over'))
      await assert.rejects(sending, /over/)
    })
  })

  describe('following events', () => {
    const minted = (blockNumber: number, logIndex: number, id: bigint) => {
      const { abi, address } = moduleAbis.Territories
      const owner = receiver(1)
      chain.logs.push({
        address,
        topics: encodeEventTopics({ abi, eventName: 'TerritoryMinted', args: { id, owner } }) as Hex[],
        data: encodeAbiParameters(
          [{ type: 'string' }, { type: 'uint64' }, { type: 'uint64' }],
          [`territory ${id}`, 5n, 6n],
        ),
        blockNumber,
        logIndex,
      })
    }
    const take = async (client: ChainClient, count: number, fromBlock = 1n) => {
      const ids: bigint[] = []
      for await (const { args } of client.events('Territories', 'TerritoryMinted', { fromBlock })) {
        ids.push(args.id)
        if (ids.length === count) break
      }
      return ids
    }

    it('yields old ones and new ones alike, in order', async () => {
      const client = await connect()
      chain.height = 3
      minted(1, 0, 1n)
      minted(3, 0, 2n)
      const taking = take(client, 4)
      minted(4, 0, 3n)
      minted(4, 1, 4n)
      chain.height = 6
      assert.deepEqual(await taking, [1n, 2n, 3n, 4n])
    })

    it('takes smaller steps where a node finds it too much', async () => {
      const client = await connect()
      for (let id = 1; id <= 40; id++) minted(id * 10, 0, BigInt(id))
      chain.height = 1_000
      node.logsMax = 3
      assert.deepEqual(
        await take(client, 40),
        Array.from({ length: 40 }, (_, index) => BigInt(index + 1)),
      )
    })

    it('misses nothing when it falls over to a node that lags behind', async () => {
      const client = await connect()
      const late = nodes[1]!
      late.lag = 5
      chain.height = 10
      minted(9, 0, 1n)
      // The height is the first node's; the search is answered by the one that has not got that far.
      node.override = (method) => {
        if (method !== 'eth_blockNumber') return undefined
        node.override = undefined
        queueMicrotask(() => void node.stop())
        return undefined
      }
      const taking = take(client, 1)
      while (!late.requests.includes('eth_getLogs')) await new Promise(setImmediate)
      late.lag = 0
      assert.deepEqual(await taking, [1n])
    })

    it('waits through an outage', async () => {
      const client = await connect()
      const taking = take(client, 1)
      await Promise.all(nodes.map((one) => one.stop()))
      minted(1, 0, 1n)
      chain.height = 1
      await assert.rejects(client.blockNumber(), { code: 'UNREACHABLE' })
      await node.start()
      assert.deepEqual(await taking, [1n])
    })

    it('begins with the next block unless told otherwise', async () => {
      const client = await connect()
      chain.height = 5
      minted(5, 0, 1n)
      const next = client.events('Territories', 'TerritoryMinted').next()
      while (!node.requests.includes('eth_blockNumber')) await new Promise(setImmediate)
      await client.reached(5n)
      minted(6, 0, 2n)
      chain.height = 6
      assert.equal((await next).value?.args.id, 2n)
    })
  })

  it('of one process share their metrics', async () => {
    await Promise.all([connect(), connect()])
    assert.match(await metrics.metrics(), /cumulus_chain_client_transactions_total\{outcome="ok"\} [1-9]/)
  })
})
