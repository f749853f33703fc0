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
import type { RegisteredPeer } from './miner-chain.ts'

/**
 * A gateway that restarts can write again only when ten of twelve miners are back: none waits longer than this between
 * two tries. Dialling one that is gone costs a refused connection.
 */
const BACKOFF_MS_MAX = 2_000

/** Peers of a role that a miner serves at once; the rest of the register waits, and a log line says so. */
const PEERS_MAX = 256
const HELLO_MS = 10_000

/** Whom miners dial, as their hello calls them. */
export type DialledRole = 'gateway' | 'tee-worker'

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
  readonly peer: RegisteredPeer
  readonly main: RunningLink
  readonly addresses: PeerAddress[]
  readonly workers: Map<number, RunningLink>
}

/** Keeps sessions with all peers of a register: to the main port, and to each further one that a hello names. */
export class RegisterLinks {
  readonly #role: DialledRole
  readonly #endpoint: EndpointComponents
  readonly #chainId: number
  readonly #log: Logger
  readonly #entries = new Map<string, Entry>()
  readonly #ending = new Set<Promise<void>>()
  #closed = false

  constructor(role: DialledRole, components: { endpoint: EndpointComponents; chainId: number; log: Logger }) {
    this.#role = role
    this.#endpoint = components.endpoint
    this.#chainId = components.chainId
    this.#log = components.log
  }

  /** The register as it is now: new peers are dialled, changed ones again, and those gone are left. */
  update(peers: readonly RegisteredPeer[]): void {
    if (this.#closed) return
    if (peers.length > PEERS_MAX) {
      this.#log.warn('more peers than links', { role: this.#role, peers: peers.length, links: PEERS_MAX })
    }
    const wanted = new Map(peers.slice(0, PEERS_MAX).map((peer) => [bytesToPlainHex(peer.peerKey), peer] as const))
    for (const [name, entry] of this.#entries) {
      if (wanted.get(name)?.addresses === entry.peer.addresses) continue
      this.#entries.delete(name)
      this.#stop(entry.main)
      for (const worker of entry.workers.values()) this.#stop(worker)
    }
    for (const [name, peer] of wanted) if (!this.#entries.has(name)) this.#add(name, peer)
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
    return [...this.#entries.values()].map(({ peer, main, workers }) => ({
      peerId: peerIdOf(peer.peerKey),
      account: peer.account,
      main: main.link.state,
      workers: Object.fromEntries([...workers].map(([port, { link }]) => [port, link.state])),
    }))
  }

  /** The session with the main port of a peer, while there is one. */
  sessionOf(peerKey: Uint8Array): Session | undefined {
    return this.#entries.get(bytesToPlainHex(peerKey))?.main.link.session
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const { main, workers } of this.#entries.values()) {
      for (const link of [main, ...workers.values()]) this.#stop(link)
    }
    this.#entries.clear()
    await Promise.all(this.#ending)
  }

  #add(name: string, peer: RegisteredPeer): void {
    let addresses: PeerAddress[]
    try {
      addresses = [...parseAddresses(peer.addresses)]
    } catch (error) {
      this.#log.warn('a peer has no address that can be dialled', { role: this.#role, account: peer.account, error })
      return
    }
    const main = this.#run(peer, addresses)
    const entry: Entry = { peer, main, addresses, workers: new Map() }
    this.#entries.set(name, entry)
    main.link.on('session', (session) => void this.#greet(entry, session))
  }

  async #greet(entry: Entry, session: Session): Promise<void> {
    try {
      const signal = AbortSignal.any([entry.main.stop.signal, AbortSignal.timeout(HELLO_MS)])
      const reply = await session.request(FrameOp.hello, { meta: helloMeta(this.#chainId) }, { signal })
      const ports = new Set(workerPortsOf(reply.meta, this.#chainId, this.#role))
      if (entry.main.stop.signal.aborted) return
      for (const [port, worker] of entry.workers) {
        if (ports.has(port)) continue
        entry.workers.delete(port)
        this.#stop(worker)
      }
      for (const port of ports) {
        if (entry.workers.has(port)) continue
        const addresses = entry.addresses.map((address) => ({ ...address, port }))
        entry.workers.set(port, this.#run(entry.peer, addresses))
      }
      this.#log.info('peer linked', {
        role: this.#role,
        account: entry.peer.account,
        peerId: session.peerId,
        ports: ports.size + 1,
      })
    } catch (error) {
      if (entry.main.stop.signal.aborted) return
      this.#log.warn('a peer did not greet as it should', { role: this.#role, account: entry.peer.account, error })
      session.close() // the link dials again, later and later
    }
  }

  #run(peer: RegisteredPeer, addresses: readonly PeerAddress[]): RunningLink {
    const stop = new AbortController()
    const link = new PeerLink(
      { ...this.#endpoint, addresses, expectedPeerKey: peer.peerKey },
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
