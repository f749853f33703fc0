import { randomBytes } from 'node:crypto'
import { bytesToHex } from '@cumulus/bytes'
import type { WebSocket } from 'ws'
import type { Hex } from './chain-view.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { RpcLimits } from './limits.ts'
import type { SubscriberSocket } from './method.ts'
import type { RpcMetrics } from './metrics.ts'
import { overLimit } from './rpc-error.ts'
import type { UnreadAnswers } from './unread-answers.ts'

interface Subscription {
  readonly kind: string
  stop: () => void
  /** What happened before its id was answered: clients know notifications by the id. */
  early: string[] | undefined
}

/** One WebSocket: its requests, its subscriptions, and the bound on what waits for a peer that does not read. */
export class SocketSession implements SubscriberSocket {
  readonly #socket: WebSocket
  readonly #limits: RpcLimits
  readonly #metrics: RpcMetrics
  readonly #unread: UnreadAnswers
  readonly #subscriptions = new Map<Hex, Subscription>()
  readonly #closed = new AbortController()
  #answering = 0
  #isAlive = true

  constructor(
    socket: WebSocket,
    dispatcher: Dispatcher,
    limits: RpcLimits,
    metrics: RpcMetrics,
    unread: UnreadAnswers,
  ) {
    this.#unread = unread
    this.#socket = socket
    this.#limits = limits
    this.#metrics = metrics
    socket.on('message', (data: Buffer) => void this.#receive(dispatcher, data))
    socket.on('pong', () => {
      this.#isAlive = true
    })
    // `ws` closes the socket itself: a message too large, a broken frame.
    socket.on('error', () => metrics.limitHits.inc({ limit: 'socket_protocol' }))
    socket.on('close', () => {
      this.#closed.abort(new Error('the client has gone'))
      this.#endSubscriptions()
    })
  }

  subscribe(kind: string, start: (send: (result: unknown) => void) => () => void): Hex {
    const max = this.#limits.subscriptionsPerSocketMax
    if (this.#subscriptions.size >= max) {
      throw overLimit('subscriptions', `this socket has ${max} subscriptions; end one or open another socket`)
    }
    const id = bytesToHex(randomBytes(16))
    const subscription: Subscription = { kind, stop: () => {}, early: [] }
    subscription.stop = start((result) => {
      const text = JSON.stringify({ jsonrpc: '2.0', method: 'eth_subscription', params: { subscription: id, result } })
      if (subscription.early) subscription.early.push(text)
      else this.#send(text)
    })
    this.#subscriptions.set(id, subscription)
    this.#metrics.subscriptions.inc({ kind })
    return id
  }

  unsubscribe(id: Hex): boolean {
    const subscription = this.#subscriptions.get(id)
    if (!subscription) return false
    subscription.stop()
    this.#subscriptions.delete(id)
    this.#metrics.subscriptions.dec({ kind: subscription.kind })
    return true
  }

  /** Called at each ping interval: asks for a sign of life, and ends a socket that gave none since the last time. */
  ping(): void {
    if (this.#isAlive) {
      this.#isAlive = false
      this.#socket.ping()
    } else this.#socket.terminate()
  }

  close(): void {
    this.#endSubscriptions()
    this.#socket.terminate()
  }

  async #receive(dispatcher: Dispatcher, data: Buffer): Promise<void> {
    if (++this.#answering >= this.#limits.socketRequestsMax) this.#socket.pause()
    const text = await dispatcher.answer(data, { socket: this, signal: this.#closed.signal })
    if (text !== undefined) this.#send(text)
    for (const subscription of this.#subscriptions.values()) {
      for (const early of subscription.early ?? []) this.#send(early)
      subscription.early = undefined
    }
    if (--this.#answering < this.#limits.socketRequestsMax && this.#socket.isPaused) this.#socket.resume()
  }

  #send(text: string): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return
    // One large answer may pass the bound: what counts is what the peer has left unread before it.
    if (this.#socket.bufferedAmount > this.#limits.socketBufferedBytesMax) {
      this.#metrics.limitHits.inc({ limit: 'socket_buffered' })
      this.#giveUp()
      return
    }
    const give = this.#unread.take(text.length)
    if (give) this.#socket.send(text, give)
    else this.#giveUp()
  }

  #giveUp(): void {
    this.#endSubscriptions()
    this.#socket.terminate()
  }

  #endSubscriptions(): void {
    for (const id of [...this.#subscriptions.keys()]) this.unsubscribe(id)
  }
}
