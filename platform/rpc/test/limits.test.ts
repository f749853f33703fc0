import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, it } from 'node:test'
import { WebSocket } from 'ws'
import type { CallOutcome } from '../src/chain-view.ts'
import type { RpcLimits } from '../src/limits.ts'
import { log, token } from './fake-chain.ts'
import { type Answer, Harness } from './harness.ts'

const call = (id: number, data = '0x') =>
  JSON.stringify({ jsonrpc: '2.0', id, method: 'eth_call', params: [{ to: token, data }] })
const done: CallOutcome = { kind: 'returned', data: new Uint8Array(0), gasUsed: 1n }

/** Serves while `work` runs. */
async function serving(limits: Partial<RpcLimits>, work: (rpc: Harness) => Promise<void>): Promise<void> {
  const rpc = await Harness.start({ limits })
  try {
    await work(rpc)
  } finally {
    await rpc.close()
  }
}

/** Calls that are answered when the test says so. */
function holdCalls(rpc: Harness) {
  const release = Promise.withResolvers<void>()
  const held = { running: 0, most: 0, started: 0, release: release.resolve }
  rpc.chain.onCall = async () => {
    held.started++
    held.most = Math.max(held.most, ++held.running)
    await release.promise
    held.running--
    return done
  }
  return held
}

async function openSocket(
  rpc: Harness,
): Promise<{ socket: WebSocket; heard: Answer[]; until: (count: number) => Promise<void> }> {
  const socket = new WebSocket(rpc.url.replace('http', 'ws'))
  const heard: Answer[] = []
  socket.on('message', (data) => heard.push(JSON.parse(String(data))))
  await once(socket, 'open')
  const until = async (count: number) => {
    while (heard.length < count) await once(socket, 'message')
  }
  return { socket, heard, until }
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 2))
}

/** By hand, so that it can neither send nor read. */
async function rawConnection(rpc: Harness): Promise<Socket> {
  const socket = connect(rpc.server.port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

describe('requests that are not answered yet', () => {
  it('have a limit of bytes over HTTP and WebSockets together', () =>
    serving({ bodyBytesTotalMax: 10_000 }, async (rpc) => {
      const held = holdCalls(rpc)
      const { socket, heard, until: hear } = await openSocket(rpc)
      for (const id of [1, 2]) socket.send(call(id, `0x${'00'.repeat(2_000)}`))
      await until(() => held.started === 2)
      socket.send(call(3, `0x${'00'.repeat(2_000)}`))
      await hear(1)
      assert.deepEqual([heard[0]!.id, heard[0]!.error?.code], [null, -32005])
      assert.match(heard[0]!.error!.message, /more than 10000 bytes of requests wait/)
      const refused = await rpc.post(call(4, `0x${'00'.repeat(2_000)}`))
      assert.deepEqual([refused.status, ((await refused.json()) as Answer).error?.code], [503, -32005])
      assert.equal(await rpc.hits('body_bytes_total'), 2)
      held.release()
      await hear(3)
      socket.send(call(5, `0x${'00'.repeat(2_000)}`))
      await hear(4)
      assert.equal(heard[3]!.result, '0x')
      socket.terminate()
    }))

  it('are given back with a socket that goes away', () =>
    serving({ bodyBytesTotalMax: 5_000, socketRequestsMax: 1 }, async (rpc) => {
      const held = holdCalls(rpc)
      const { socket } = await openSocket(rpc)
      socket.send(call(1, `0x${'00'.repeat(1_000)}`))
      socket.send(call(2, `0x${'00'.repeat(1_000)}`))
      await until(() => held.started === 1)
      socket.terminate()
      await until(() => rpc.server.counts.sockets === 0)
      held.release()
      await until(async () => (await rpc.post(call(3, `0x${'00'.repeat(2_000)}`))).status === 200)
    }))

  it('of one socket are only so many at once; the others wait, in order', () =>
    serving({ socketRequestsMax: 2, callsAtOnceMax: 64 }, async (rpc) => {
      const held = holdCalls(rpc)
      const { socket, heard, until: hear } = await openSocket(rpc)
      for (let id = 0; id < 20; id++) socket.send(call(id))
      await until(() => held.started === 2)
      // Another socket is not in its way.
      const other = await openSocket(rpc)
      other.socket.send(JSON.stringify({ id: 1, method: 'eth_chainId' }))
      await other.until(1)
      assert.equal(held.started, 2)
      held.release()
      await hear(20)
      assert.equal(held.most, 2)
      assert.deepEqual(
        heard.map(({ id }) => id),
        Array.from({ length: 20 }, (_, id) => id),
      )
      for (const one of [socket, other.socket]) one.terminate()
    }))

  it('must arrive within their time', () =>
    serving({ requestTimeoutMs: 50 }, async (rpc) => {
      const socket = await rawConnection(rpc)
      socket.write(
        'POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{',
      )
      let text = ''
      socket.on('data', (chunk) => (text += chunk))
      await once(socket, 'close')
      assert.match(text, /^HTTP\/1\.1 408/)
    }))
})

describe('answers', () => {
  it('have a limit each', () =>
    serving({ responseBytesMax: 1_000 }, async (rpc) => {
      const { error } = await rpc.ask('eth_getBlockByNumber', ['0x0', true])
      assert.deepEqual([error?.code, /at most 1000 are sent/.test(error?.message ?? '')], [-32005, true])
      assert.equal(await rpc.hits('response_bytes'), 1)
      assert.equal(await rpc.result('eth_chainId'), '0x69df')
    }))

  it('that are not read have a limit together, and each a limit of time', () =>
    serving({ responseBytesTotalMax: 12_000_000, responseTimeoutMs: 2_000 }, async (rpc) => {
      const data = new Uint8Array(4_000_000)
      rpc.chain.onCall = async () => ({ ...done, data })
      const body = call(1)
      const head = `POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
      const deaf = await rawConnection(rpc)
      deaf.pause()
      deaf.write(head + body)
      const ask = async () => {
        const response = await rpc.post(body)
        return { status: response.status, answer: (await response.json()) as Answer }
      }
      // 8 MB of hex wait for that one, as soon as it is answered; no room for as much again.
      await until(async () => (await ask()).status === 503)
      assert.ok((await rpc.hits('response_bytes_total')) >= 1)
      // It has had its time: the connection is ended, and the room is free.
      await until(async () => (await rpc.hits('response_time')) === 1)
      const { status, answer } = await ask()
      assert.deepEqual([status, (answer.result as string).length], [200, 2 + 8_000_000])
      deaf.destroy()
    }))
})

describe('connections', () => {
  it('are only so many, and one that ends makes room', () =>
    serving({ connectionsMax: 2 }, async (rpc) => {
      const two = [await rawConnection(rpc), await rawConnection(rpc)]
      const third = await rawConnection(rpc)
      await once(third, 'close')
      const { values } = await rpc.metrics.getSingleMetric('cumulus_rpc_refused_total')!.get()
      assert.equal(values.find(({ labels }) => labels['reason'] === 'connections')?.value, 1)
      for (const socket of two) socket.destroy()
      await until(() => rpc.result('eth_chainId').then(Boolean, () => false))
    }))
})

describe('subscriptions', () => {
  it('are only so many on all sockets, and one that ends makes room', () =>
    serving({ subscriptionsPerSocketMax: 2, subscriptionsMax: 3 }, async (rpc) => {
      const [one, two] = [await openSocket(rpc), await openSocket(rpc)]
      const subscribe = JSON.stringify({ id: 1, method: 'eth_subscribe', params: ['newHeads'] })
      for (const { socket, until: hear } of [one, two]) {
        socket.send(subscribe)
        socket.send(subscribe)
        await hear(2)
      }
      const refused = two.heard.flatMap(({ error }) => error?.code ?? [])
      assert.deepEqual([one.heard.some(({ error }) => error), refused], [false, [-32005]])
      assert.equal(await rpc.hits('subscriptions_total'), 1)
      one.socket.terminate()
      await until(() => rpc.server.counts.sockets === 1)
      two.socket.send(subscribe)
      await two.until(3)
      assert.equal(two.heard[2]!.error, undefined)
      two.socket.terminate()
    }))

  it('of logs are told in turns, each all of its own, block by block', () =>
    serving({}, async (rpc) => {
      const sockets = await Promise.all(Array.from({ length: 10 }, () => openSocket(rpc)))
      const subscribe = JSON.stringify({ id: 1, method: 'eth_subscribe', params: ['logs', { address: token }] })
      for (const { socket, until: hear } of sockets) {
        socket.send(subscribe)
        await hear(1)
      }
      // What it takes to read the logs of a large block.
      const { logs } = rpc.chain
      let longest = 0
      let inTurn = 0
      const tick = setInterval(() => {
        inTurn = 0
      }, 1)
      rpc.chain.logs = (number) => {
        const untilMs = performance.now() + 8
        while (performance.now() < untilMs);
        longest = Math.max(longest, ++inTurn)
        return logs(number)
      }
      for (let i = 1; i <= 5; i++) rpc.chain.append([log(i), log(100 + i)])
      for (const { heard, until: hear } of sockets) {
        await hear(11)
        const notes = heard.slice(1) as unknown as { params: { result: { topics: string[] } } }[]
        assert.deepEqual(
          notes.map(({ params }) => Number(params.result.topics[0])),
          [1, 2, 3, 4, 5].flatMap((block) => [block, 100 + block]),
        )
      }
      clearInterval(tick)
      assert.ok(longest <= 6, `${longest} in one turn`)
      for (const { socket } of sockets) socket.terminate()
      await until(() => rpc.chain.listenerCount === 0)
    }))
})

describe('state overrides', () => {
  it('have a limit of accounts, of slots in all, and of code', () =>
    serving({ overrideAccountsMax: 3, overrideSlotsMax: 5 }, async (rpc) => {
      const address = (index: number) => `0x${index.toString(16).padStart(40, '0')}`
      const slots = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`0x${i}`, '0x1']))
      const accounts = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [address(i), {}]))
      const ask = (overrides: object) => rpc.ask('eth_call', [{ to: token }, 'latest', overrides])
      for (const fitting of [
        accounts(3),
        { [address(1)]: { state: slots(3) }, [address(2)]: { stateDiff: slots(2) } },
      ]) {
        assert.equal((await ask(fitting)).result, `0x${'00'.repeat(32)}`)
      }
      for (const large of [
        accounts(4),
        { [address(1)]: { state: slots(3) }, [address(2)]: { stateDiff: slots(3) } },
        { [address(1)]: { code: `0x${'00'.repeat(128 * 1_024 + 1)}` } },
      ]) {
        assert.equal((await ask(large)).error?.code, -32005)
      }
      assert.equal(await rpc.hits('overrides'), 3)
    }))
})

describe('notifications of a subscription whose id was not told yet', () => {
  const subscribeAndCall = JSON.stringify([
    { jsonrpc: '2.0', id: 1, method: 'eth_subscribe', params: ['newHeads'] },
    JSON.parse(call(2)),
  ])

  it('wait for it, whatever else is answered meanwhile', () =>
    serving({}, async (rpc) => {
      const held = holdCalls(rpc)
      const { socket, heard, until: hear } = await openSocket(rpc)
      socket.send(subscribeAndCall)
      await until(() => held.started === 1)
      rpc.chain.append([log(1)])
      socket.send(JSON.stringify({ id: 3, method: 'eth_chainId' }))
      await hear(1)
      rpc.chain.append([log(2)])
      held.release()
      await hear(4)
      const [other, batch, ...notes] = heard as unknown as [Answer, Answer[], { params: { subscription: string } }]
      assert.deepEqual([other.id, batch[0]!.id], [3, 1])
      assert.deepEqual(
        notes.map(({ params }) => params.subscription),
        [batch[0]!.result, batch[0]!.result],
      )
      socket.terminate()
    }))

  it('are bounded: past as much as may wait in a socket, it is closed', () =>
    serving({ socketBufferedBytesMax: 20_000 }, async (rpc) => {
      const held = holdCalls(rpc)
      const { socket } = await openSocket(rpc)
      socket.send(subscribeAndCall)
      await until(() => held.started === 1)
      const closed = once(socket, 'close')
      for (let i = 0; i < 100; i++) rpc.chain.append([])
      await closed
      assert.deepEqual([await rpc.hits('socket_buffered'), rpc.chain.listenerCount], [1, 0])
      held.release()
    }))
})
