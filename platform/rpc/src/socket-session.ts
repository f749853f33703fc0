import { randomBytes } from 'node:crypto'
import { bytesToHex } from '@cumulus/bytes'
import type { WebSocket } from 'ws'
import type { Budgets } from './byte-budget.ts'
import type { Hex } from './chain-view.ts'
import { type Dispatcher, errorText } from './dispatcher.ts'
import { tooManyBodies } from './http-traffic.ts'
import type { RpcLimits } from './limits.ts'
import type { SubscriberSocket } from './method.ts'
import type { RpcMetrics } from './metrics.ts'
import { overLimit } from './rpc-error.ts'

interface Subscription {
  readonly kind: string
  stop: () => void
  /** What happened before its id was told: clients know notifications by the id. */
  early: { readonly texts: string[]; bytes: number } | undefined
}

interface SocketComponents {
  readonly dispatcher: Dispatcher
  readonly limits: RpcLimits
  readonly metrics: RpcMetrics
  readonly budgets: Budgets
  /** Whether the server has room for one more subscription. */
  readonly mayHold: () => boolean
}

/** A message that was read and is not answered. */
interface Received {
  readonly data: Buffer
  readonly give: () => void
}

/** One WebSocket: its requests, its subscriptions, and the bounds on what waits for it and for a peer that does not read. */
export class SocketSession {
  readonly #socket: WebSocket
  readonly #dispatcher: Dispatcher
  readonly #limits: RpcLimits
  readonly #metrics: RpcMetrics
  readonly #budgets: Budgets
  readonly #mayHold: () => boolean
  readonly #subscriptions = new Map<Hex, Subscription>()
  readonly #closed = new AbortController()
  /** What had been read from the network by the time we stopped reading. */
  readonly #waiting: Received[] = []
  #answering = 0
  #isAlive = true

  constructor(socket: WebSocket, { dispatcher, limits, metrics, budgets, mayHold }: SocketComponents) {
    this.#budgets = budgets
    this.#mayHold = mayHold
    this.#socket = socket
    this.#dispatcher = dispatcher
    this.#limits = limits
    this.#metrics = metrics
    socket.on('message', (data: Buffer) => this.#receive(data))
    socket.on('pong', () => {
      this.#isAlive = true
    })
    // `ws` closes the socket itself: a message too large, a broken frame.
    socket.on('error', () => metrics.limitHits.inc({ limit: 'socket_protocol' }))
    socket.on('close', () => {
      this.#closed.abort(new Error('the client has gone'))
      this.#endSubscriptions()
      for (const { give } of this.#waiting.splice(0)) give()
    })
  }

  get subscriptionCount(): number {
    return this.#subscriptions.size
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

  #receive(data: Buffer): void {
    const give = this.#budgets.bodies.take(data.length)
    if (!give) {
      const error = tooManyBodies(this.#limits.bodyBytesTotalMax)
      this.#metrics.limitHits.inc({ limit: error.limit! })
      this.#send(errorText(null, error))
      return
    }
    this.#waiting.push({ data, give })
    this.#answerWaiting()
  }

  #answerWaiting(): void {
    const { socketRequestsMax } = this.#limits
    while (this.#answering < socketRequestsMax && this.#waiting.length > 0) {
      this.#answering++
      void this.#answer(this.#waiting.shift()!)
    }
    const isBusy = this.#answering >= socketRequestsMax
    if (isBusy && !this.#socket.isPaused) this.#socket.pause()
    else if (!isBusy && this.#socket.isPaused) this.#socket.resume()
  }

  async #answer({ data, give }: Received): Promise<void> {
    const opened: Subscription[] = []
    const subscriber: SubscriberSocket = {
      subscribe: (kind, start) => this.#subscribe(kind, start, opened),
      unsubscribe: (id) => this.#unsubscribe(id),
    }
    const text = await this.#dispatcher.answer(data, { socket: subscriber, signal: this.#closed.signal })
    give()
    if (text !== undefined) this.#send(text)
    for (const subscription of opened) {
      const { texts } = subscription.early!
      subscription.early = undefined
      for (const early of texts) this.#send(early)
    }
    this.#answering--
    this.#answerWaiting()
  }

  #subscribe(kind: string, start: (send: (result: unknown) => void) => () => void, opened: Subscription[]): Hex {
    const { subscriptionsPerSocketMax: max, socketBufferedBytesMax } = this.#limits
    if (this.#subscriptions.size >= max) {
      throw overLimit('subscriptions', `this socket has ${max} subscriptions; end one or open another socket`)
    }
    if (!this.#mayHold()) {
      throw overLimit(
        'subscriptions_total',
        `this server has ${this.#limits.subscriptionsMax} subscriptions; try again`,
      )
    }
    const id = bytesToHex(randomBytes(16))
    const subscription: Subscription = { kind, stop: () => {}, early: { texts: [], bytes: 0 } }
    subscription.stop = start((result) => {
      const text = JSON.stringify({ jsonrpc: '2.0', method: 'eth_subscription', params: { subscription: id, result } })
      const { early } = subscription
      if (!early) return this.#send(text)
      early.bytes += text.length
      if (early.bytes > socketBufferedBytesMax) this.#giveUp('socket_buffered')
      else early.texts.push(text)
    })
    this.#subscriptions.set(id, subscription)
    opened.push(subscription)
    this.#metrics.subscriptions.inc({ kind })
    return id
  }

  #unsubscribe(id: Hex): boolean {
    const subscription = this.#subscriptions.get(id)
    if (!subscription) return false
    subscription.stop()
    this.#subscriptions.delete(id)
    this.#metrics.subscriptions.dec({ kind: subscription.kind })
    return true
  }

  #send(text: string): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return
    // One large answer may pass the bound: what counts is what the peer has left unread before it.
    if (this.#socket.bufferedAmount > this.#limits.socketBufferedBytesMax) {
      this.#giveUp('socket_buffered')
      return
    }
    const give = this.#budgets.answers.take(text.length)
    if (give) this.#socket.send(text, give)
    else this.#giveUp('response_bytes_total')
  }

  #giveUp(limit: string): void {
    this.#metrics.limitHits.inc({ limit })
    this.#endSubscriptions()
    this.#socket.terminate()
  }

  #endSubscriptions(): void {
    for (const id of [...this.#subscriptions.keys()]) this.#unsubscribe(id)
  }
}
