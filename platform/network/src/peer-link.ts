import { EventEmitter } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { dial } from './dial.ts'
import type { EndpointComponents } from './listen.ts'
import type { PeerAddress } from './peer-address.ts'
import { NetworkError, type Session } from './session.ts'

export interface PeerLinkComponents extends EndpointComponents {
  /** Tried in turn, the one that worked last first. */
  readonly addresses: readonly PeerAddress[]
  /** Who must answer at every address. */
  readonly expectedPeerKey: Uint8Array
}

export interface PeerLinkInit {
  /** Longest wait after the first failure; each further one doubles it. */
  readonly backoffMsMin?: number
  /** Where doubling ends. */
  readonly backoffMsMax?: number
}

/** `connecting`: dialling · `connected`: `session` is up · `waiting`: every address failed, for now · `stopped`: over. */
export type PeerLinkState = 'idle' | 'connecting' | 'connected' | 'waiting' | 'stopped'

interface PeerLinkEvents {
  state: [PeerLinkState]
  /** A new session, before anybody else gets to use it. */
  session: [Session]
  /** An address that did not work. */
  failure: [unknown, PeerAddress]
}

/** Keeps one session to a peer: dials, and dials again when it ends, until told to stop. */
export class PeerLink extends EventEmitter<PeerLinkEvents> {
  readonly #components: PeerLinkComponents
  readonly #addresses: PeerAddress[]
  readonly #backoffMsMin: number
  readonly #backoffMsMax: number
  readonly #waiters = new Set<(session: Session | undefined) => void>()
  #state: PeerLinkState = 'idle'
  #session: Session | undefined

  constructor(components: PeerLinkComponents, init: PeerLinkInit = {}) {
    super()
    if (components.addresses.length === 0) throw new NetworkError('BAD_ADDRESS', 'a link needs an address')
    this.#components = components
    this.#addresses = [...components.addresses]
    this.#backoffMsMin = init.backoffMsMin ?? 250
    this.#backoffMsMax = init.backoffMsMax ?? 30_000
  }

  get state(): PeerLinkState {
    return this.#state
  }

  /** The session, while there is one. */
  get session(): Session | undefined {
    return this.#session
  }

  /**
   * The session as soon as there is one.
   *
   * @throws NetworkError `CLOSED` if the link stops before, or the abort reason
   */
  async ready({ signal }: { signal?: AbortSignal } = {}): Promise<Session> {
    signal?.throwIfAborted()
    if (this.#session) return this.#session
    if (this.#state === 'stopped') throw new NetworkError('CLOSED', 'the link was stopped')
    if (this.#waiters.size >= WAITERS_MAX)
      throw new NetworkError('OVERLOADED', `${WAITERS_MAX} wait for the peer already`)
    const { promise, resolve, reject } = Promise.withResolvers<Session | undefined>()
    const onAbort = (): void => reject(signal!.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#waiters.add(resolve)
    try {
      const session = await promise
      if (!session) throw new NetworkError('CLOSED', 'the link was stopped')
      return session
    } finally {
      this.#waiters.delete(resolve)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Keeps the link until `signal` aborts; then ends the session and resolves. */
  async run({ signal }: { signal: AbortSignal }): Promise<void> {
    if (this.#state !== 'idle') throw new Error('a link runs once')
    let failureCount = 0
    try {
      while (!signal.aborted) {
        this.#enter('connecting')
        const session = await this.#connect(signal)
        if (session) {
          const startedAtMs = performance.now()
          await this.#keep(session, signal)
          // A peer that takes us and drops us at once is as good as one that does not answer.
          if (performance.now() - startedAtMs > this.#backoffMsMax) failureCount = 0
        }
        if (signal.aborted) return
        this.#enter('waiting')
        await this.#backOff(failureCount++, signal)
      }
    } finally {
      this.#enter('stopped')
      for (const waiter of this.#waiters) waiter(undefined)
    }
  }

  /** One round over all addresses. */
  async #connect(signal: AbortSignal): Promise<Session | undefined> {
    for (const address of [...this.#addresses]) {
      if (signal.aborted) return undefined
      try {
        const session = await dial({ ...this.#components, address }, { signal })
        this.#addresses.splice(this.#addresses.indexOf(address), 1)
        this.#addresses.unshift(address)
        return session
      } catch (error) {
        if (signal.aborted) return undefined
        const { host, port } = address
        this.#components.log?.debug('peer not reached', { host, port, reason: (error as Error).message })
        this.emit('failure', error, address)
      }
    }
    return undefined
  }

  async #keep(session: Session, signal: AbortSignal): Promise<void> {
    const close = (): void => session.close()
    signal.addEventListener('abort', close, { once: true })
    try {
      this.#session = session
      this.emit('session', session)
      this.#enter('connected')
      for (const waiter of this.#waiters) waiter(session)
      if (signal.aborted) session.close()
      await session.closed
    } finally {
      this.#session = undefined
      signal.removeEventListener('abort', close)
    }
  }

  /** Between half and all of the capped, doubled wait, so that peers cut off together do not return together. */
  async #backOff(failureCount: number, signal: AbortSignal): Promise<void> {
    const ms = Math.min(this.#backoffMsMax, this.#backoffMsMin * 2 ** Math.min(failureCount, 30))
    await delay(ms * (0.5 + Math.random() / 2), undefined, { signal }).catch(() => undefined)
  }

  #enter(state: PeerLinkState): void {
    this.#state = state
    this.emit('state', state)
  }
}

const WAITERS_MAX = 4096
