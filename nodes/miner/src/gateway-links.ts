import { bytesToPlainHex } from '@cumulus/bytes'
import {
  type EndpointComponents,
  FrameOp,
  type PeerAddress,
  PeerLink,
  parseAddresses,
  peerIdOf,
  type Session,
} from '@cumulus/network'
import type { Logger } from '@cumulus/service'
import { helloMeta, workerPortsOf } from './hello.ts'
import type { ChainGateway } from './miner-chain.ts'

/**
 * A gateway that restarts can write again only when ten of twelve miners are back: none waits longer than this between
 * two tries. Dialling one that is gone costs a refused connection.
 */
const BACKOFF_MS_MAX = 2_000

/** Gateways that a miner serves at once; the rest of the register waits, and a log line says so. */
const GATEWAYS_MAX = 256
const HELLO_MS = 10_000

export interface LinkStatus {
  readonly peerId: string
  readonly account: string
  readonly main: string
  /** By port. */
  readonly workers: Readonly<Record<number, string>>
}

interface RunningLink {
  readonly link: PeerLink
  readonly stop: AbortController
  readonly done: Promise<void>
}

interface Entry {
  readonly gateway: ChainGateway
  readonly main: RunningLink
  readonly addresses: PeerAddress[]
  readonly workers: Map<number, RunningLink>
}

/** Keeps sessions with all gateways of the register: to the main port, and to each further one its hello names. */
export class GatewayLinks {
  readonly #endpoint: EndpointComponents
  readonly #chainId: number
  readonly #log: Logger
  readonly #entries = new Map<string, Entry>()
  readonly #ending = new Set<Promise<void>>()
  #closed = false

  constructor(components: { endpoint: EndpointComponents; chainId: number; log: Logger }) {
    this.#endpoint = components.endpoint
    this.#chainId = components.chainId
    this.#log = components.log
  }

  /** The register as it is now: new gateways are dialled, changed ones again, and those gone are left. */
  update(gateways: readonly ChainGateway[]): void {
    if (this.#closed) return
    if (gateways.length > GATEWAYS_MAX) {
      this.#log.warn('more gateways than links', { gateways: gateways.length, links: GATEWAYS_MAX })
    }
    const wanted = new Map(
      gateways.slice(0, GATEWAYS_MAX).map((gateway) => [bytesToPlainHex(gateway.peerKey), gateway] as const),
    )
    for (const [name, entry] of this.#entries) {
      if (wanted.get(name)?.addresses === entry.gateway.addresses) continue
      this.#entries.delete(name)
      this.#stop(entry.main)
      for (const worker of entry.workers.values()) this.#stop(worker)
    }
    for (const [name, gateway] of wanted) if (!this.#entries.has(name)) this.#add(name, gateway)
  }

  /** Sessions that are up. */
  get sessionCount(): number {
    let count = 0
    for (const { main, workers } of this.#entries.values()) {
      for (const { link } of [main, ...workers.values()]) if (link.session) count++
    }
    return count
  }

  get status(): LinkStatus[] {
    return [...this.#entries.values()].map(({ gateway, main, workers }) => ({
      peerId: peerIdOf(gateway.peerKey),
      account: gateway.account,
      main: main.link.state,
      workers: Object.fromEntries([...workers].map(([port, { link }]) => [port, link.state])),
    }))
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const { main, workers } of this.#entries.values()) {
      for (const link of [main, ...workers.values()]) this.#stop(link)
    }
    this.#entries.clear()
    await Promise.all(this.#ending)
  }

  #add(name: string, gateway: ChainGateway): void {
    let addresses: PeerAddress[]
    try {
      addresses = [...parseAddresses(gateway.addresses)]
    } catch (error) {
      this.#log.warn('a gateway has no address that can be dialled', { account: gateway.account, error })
      return
    }
    const main = this.#run(gateway, addresses)
    const entry: Entry = { gateway, main, addresses, workers: new Map() }
    this.#entries.set(name, entry)
    main.link.on('session', (session) => void this.#greet(entry, session))
  }

  async #greet(entry: Entry, session: Session): Promise<void> {
    try {
      const signal = AbortSignal.any([entry.main.stop.signal, AbortSignal.timeout(HELLO_MS)])
      const reply = await session.request(FrameOp.hello, { meta: helloMeta(this.#chainId) }, { signal })
      const ports = new Set(workerPortsOf(reply.meta, this.#chainId))
      if (entry.main.stop.signal.aborted) return
      for (const [port, worker] of entry.workers) {
        if (ports.has(port)) continue
        entry.workers.delete(port)
        this.#stop(worker)
      }
      for (const port of ports) {
        if (entry.workers.has(port)) continue
        const addresses = entry.addresses.map((address) => ({ ...address, port }))
        entry.workers.set(port, this.#run(entry.gateway, addresses))
      }
      this.#log.info('gateway linked', {
        account: entry.gateway.account,
        peerId: session.peerId,
        ports: ports.size + 1,
      })
    } catch (error) {
      if (entry.main.stop.signal.aborted) return
      this.#log.warn('a gateway did not greet as it should', { account: entry.gateway.account, error })
      session.close() // the link dials again, later and later
    }
  }

  #run(gateway: ChainGateway, addresses: readonly PeerAddress[]): RunningLink {
    const stop = new AbortController()
    const link = new PeerLink(
      { ...this.#endpoint, addresses, expectedPeerKey: gateway.peerKey },
      { backoffMsMax: BACKOFF_MS_MAX },
    )
    return { link, stop, done: link.run({ signal: stop.signal }) }
  }

  #stop({ stop, done }: RunningLink): void {
    stop.abort(new Error('the link is not needed any more'))
    const ending = done.finally(() => this.#ending.delete(ending))
    this.#ending.add(ending)
  }
}
