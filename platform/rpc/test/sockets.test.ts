import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { WebSocket } from 'ws'
import { log, token, word } from './fake-chain.ts'
import { type Answer, Harness } from './harness.ts'

interface Note {
  readonly method: string
  readonly params: { readonly subscription: string; readonly result: Record<string, unknown> }
}

/** A WebSocket client that keeps everything it hears. */
class Client {
  readonly socket: WebSocket
  readonly heard: (Answer & Note)[] = []
  #wake = Promise.withResolvers<void>()

  constructor(rpc: Harness, origin?: string) {
    this.socket = new WebSocket(rpc.url.replace('http', 'ws'), origin === undefined ? {} : { origin })
    this.socket.on('message', (data) => {
      this.heard.push(JSON.parse(String(data)))
      this.#wake.resolve()
      this.#wake = Promise.withResolvers()
    })
  }

  send(id: number, method: string, ...params: unknown[]): void {
    this.socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
  }

  async find(wanted: (message: Answer & Note) => boolean): Promise<Answer & Note> {
    for (;;) {
      const found = this.heard.find(wanted)
      if (found) return found
      await this.#wake.promise
    }
  }

  async ask(id: number, method: string, ...params: unknown[]): Promise<Answer> {
    this.send(id, method, ...params)
    return this.find((message) => message.id === id)
  }

  notes(subscription: unknown): Record<string, unknown>[] {
    return this.heard.filter(({ params }) => params?.subscription === subscription).map(({ params }) => params.result)
  }
}

describe('a WebSocket', () => {
  let rpc: Harness
  before(async () => {
    rpc = await Harness.start({
      limits: {
        subscriptionsPerSocketMax: 3,
        socketBufferedBytesMax: 200_000,
        socketsMax: 3,
        bodyBytesMax: 4_096,
        batchLengthMax: 4,
      },
      access: { corsOrigins: ['https://wallet.example'] },
    })
  })
  after(() => rpc.close())

  const open = async () => {
    const client = new Client(rpc)
    await once(client.socket, 'open')
    return client
  }
  const close = async ({ socket }: Client) => {
    socket.terminate()
    await once(socket, 'close')
    while (rpc.server.counts.sockets > 0) await new Promise(setImmediate)
  }

  it('answers requests and hears of heads and matching logs, in order', async () => {
    const client = await open()
    assert.equal((await client.ask(1, 'eth_chainId')).result, '0x69df')
    const heads = (await client.ask(2, 'eth_subscribe', 'newHeads')).result
    const logs = (await client.ask(3, 'eth_subscribe', 'logs', { address: token, topics: [word(2)] })).result
    const pending = (await client.ask(4, 'eth_subscribe', 'newPendingTransactions')).result
    const first = rpc.chain.head().number
    rpc.chain.append([log(1), log(2)])
    rpc.chain.append([log(3)])
    rpc.chain.announce('0xaa')
    await client.find(({ params }) => params?.subscription === pending)
    assert.deepEqual(
      client.notes(heads).map(({ number }) => Number(number)),
      [Number(first) + 1, Number(first) + 2],
    )
    assert.deepEqual(
      client.notes(logs).map(({ logIndex }) => logIndex),
      ['0x1'],
    )
    assert.equal((await client.ask(5, 'eth_unsubscribe', logs)).result, true)
    assert.equal((await client.ask(6, 'eth_unsubscribe', logs)).result, false)
    rpc.chain.append([log(2)])
    await client.ask(7, 'eth_blockNumber')
    assert.equal(client.notes(logs).length, 1)
    await close(client)
    assert.equal(rpc.chain.listenerCount, 0)
  })

  it('may not subscribe without end, nor to what there is not', async () => {
    const client = await open()
    for (let id = 1; id <= 3; id++) await client.ask(id, 'eth_subscribe', 'newHeads')
    assert.equal((await client.ask(4, 'eth_subscribe', 'newHeads')).error?.code, -32005)
    assert.equal((await client.ask(5, 'eth_subscribe', 'weather')).error?.code, -32602)
    assert.equal((await rpc.ask('eth_subscribe', ['newHeads'])).error?.code, -32000)
    await close(client)
  })

  it('that never reads is closed, and costs no more than its bound', async () => {
    // Subscribes and then stops reading at the level of TCP.
    const socket = connect(rpc.server.port, '127.0.0.1')
    await once(socket, 'connect')
    const key = Buffer.from('0123456789abcdef').toString('base64')
    socket.write(
      `GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n\r\n`,
    )
    await once(socket, 'data')
    const text = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_subscribe', params: ['newHeads'] }))
    // A masked text frame whose mask is zero.
    socket.write(Buffer.concat([Buffer.of(0x81, 0x80 | text.length, 0, 0, 0, 0), text]))
    await once(socket, 'data')
    socket.pause()
    for (let i = 0; i < 20_000 && rpc.server.counts.sockets > 0; i++) {
      rpc.chain.append([])
      if (i % 50 === 0) await new Promise(setImmediate)
    }
    assert.equal(await rpc.hits('socket_buffered'), 1)
    assert.equal(rpc.chain.listenerCount, 0)
    socket.destroy()
    while (rpc.server.counts.sockets > 0) await new Promise(setImmediate)
  })

  it('that sends too large a message, or a batch bomb, is refused', async () => {
    const client = await open()
    client.socket.send(JSON.stringify(Array.from({ length: 5 }, (_, id) => ({ id, method: 'eth_chainId' }))))
    assert.equal((await client.find(({ error }) => error !== undefined)).error?.code, -32005)
    client.socket.send(' '.repeat(5_000))
    const [code] = await once(client.socket, 'close')
    assert.equal(code, 1009)
    while (rpc.server.counts.sockets > 0) await new Promise(setImmediate)
  })

  it('is not opened for a foreign page, nor past the limit', async () => {
    const refusal = async (client: Client) => {
      const [error] = await once(client.socket, 'error')
      return (error as Error).message
    }
    assert.match(await refusal(new Client(rpc, 'https://evil.example')), /403/)
    const known = new Client(rpc, 'https://wallet.example')
    await once(known.socket, 'open')
    const others = [await open(), await open()]
    assert.match(await refusal(new Client(rpc)), /503/)
    for (const { socket } of [known, ...others]) socket.terminate()
    while (rpc.server.counts.sockets > 0) await new Promise(setImmediate)
  })
})
