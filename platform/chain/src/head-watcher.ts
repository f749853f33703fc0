import { type Logger, sleep } from '@cumulus/service'
import type { RpcConnection } from './rpc-connection.ts'

interface Waiter {
  readonly above: bigint
  readonly resolve: (head: bigint) => void
}

/** Up to where the chain is looked at: executed, or certified by the committee so that it can never be replaced. */
export type Finality = 'latest' | 'finalized'

/** Polls the height of the chain while anybody waits for it: one request for all waiters. */
export class HeadWatcher {
  readonly #connection: RpcConnection
  readonly #finality: Finality
  readonly #log: Logger
  readonly #pollMs: number
  readonly #signal: AbortSignal
  readonly #waiters = new Set<Waiter>()
  #isPolling = false

  constructor(
    connection: RpcConnection,
    init: { log: Logger; pollMs: number; signal: AbortSignal; finality?: Finality },
  ) {
    this.#connection = connection
    this.#finality = init.finality ?? 'latest'
    this.#log = init.log
    this.#pollMs = init.pollMs
    this.#signal = init.signal
  }

  /** The height, once it is above `number`. Waits through outages; rejects only if the signal aborts. */
  async above(number: bigint, signal: AbortSignal): Promise<bigint> {
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<bigint>()
    const waiter = { above: number, resolve }
    const stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    this.#waiters.add(waiter)
    if (!this.#isPolling) void this.#poll()
    try {
      return await promise
    } finally {
      signal.removeEventListener('abort', stop)
      this.#waiters.delete(waiter)
    }
  }

  async #poll(): Promise<void> {
    this.#isPolling = true
    try {
      while (this.#waiters.size > 0 && !this.#signal.aborted) {
        try {
          const head = await headOf(this.#connection, this.#finality)
          for (const { above, resolve } of this.#waiters) if (head > above) resolve(head)
        } catch (error) {
          this.#signal.throwIfAborted()
          this.#log.debug('height unknown', { error })
        }
        await sleep(this.#pollMs, this.#signal)
      }
    } catch {
      // Only the signal ends the loop early, and the waiters hear of it themselves.
    } finally {
      this.#isPolling = false
    }
  }
}

/** @throws ChainError UNREACHABLE */
export async function headOf(connection: RpcConnection, finality: Finality): Promise<bigint> {
  if (finality === 'latest') return BigInt((await connection.request('eth_blockNumber', [])) as string)
  const block = (await connection.request('eth_getBlockByNumber', [finality, false])) as { number: string } | null
  return block ? BigInt(block.number) : 0n
}
