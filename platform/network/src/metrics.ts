import { Counter, Gauge, type Registry } from 'prom-client'
import { FrameOp } from './frame.ts'

/** Counts of this package: plain numbers where frames pass, turned into metrics when somebody looks. */
export class NetworkCounters {
  sessions = 0
  readonly bytesReceived = new Float64Array(256)
  readonly bytesSent = new Float64Array(256)
  /** Requests by op: asked of us, and asked by us. */
  readonly requestsReceived = new Float64Array(256)
  readonly requestsSent = new Float64Array(256)
  malformedFrames = 0
  /** Peers that did not prove who they are, or that we do not want, by reason. */
  readonly refusedPeers = new Map<RefusedPeer, number>()
  /** Errors sent and received in frames and sessions that failed, by code. Codes of strangers count as `other`. */
  readonly errors = new Map<string, number>()

  countError(code: string): void {
    const known = COUNTED_CODES.has(code) ? code : 'other'
    this.errors.set(known, (this.errors.get(known) ?? 0) + 1)
  }

  countRefused(reason: RefusedPeer): void {
    this.refusedPeers.set(reason, (this.refusedPeers.get(reason) ?? 0) + 1)
  }
}

export type RefusedPeer = 'handshake' | 'certificate' | 'unwanted' | 'too-many'

const COUNTED_CODES = new Set([
  'CLOSED',
  'TIMEOUT',
  'HANDSHAKE',
  'WRONG_PEER',
  'MALFORMED_FRAME',
  'OVERLOADED',
  'UNREACHABLE',
  'UNSUPPORTED',
  'INTERNAL',
])

const registered = new WeakMap<Registry, NetworkCounters>()

/** The counters behind `cumulus_network_*` in this registry, made on first use: endpoints of a process share them. */
export function countersOf(registry: Registry | undefined): NetworkCounters {
  if (!registry) return new NetworkCounters()
  let counters = registered.get(registry)
  if (!counters) {
    counters = new NetworkCounters()
    registered.set(registry, counters)
    register(registry, counters)
  }
  return counters
}

function register(registry: Registry, counters: NetworkCounters): void {
  const registers = [registry]
  new Gauge({
    name: 'cumulus_network_sessions',
    help: 'Connections to peers that are up.',
    registers,
    collect() {
      this.set(counters.sessions)
    },
  })
  const byOp = (name: string, help: string, values: Float64Array): void => {
    new Counter({
      name,
      help,
      labelNames: ['op'],
      registers,
      collect() {
        this.reset()
        for (const [op, number] of Object.entries(FrameOp)) this.inc({ op }, values[number]!)
      },
    })
  }
  byOp('cumulus_network_received_bytes_total', 'Bytes of frames received, by op.', counters.bytesReceived)
  byOp('cumulus_network_sent_bytes_total', 'Bytes of frames sent, by op.', counters.bytesSent)
  byOp('cumulus_network_received_requests_total', 'Requests that peers made, by op.', counters.requestsReceived)
  byOp('cumulus_network_sent_requests_total', 'Requests made to peers, by op.', counters.requestsSent)
  new Counter({
    name: 'cumulus_network_malformed_frames_total',
    help: 'Connections ended because a frame was malformed.',
    registers,
    collect() {
      this.reset()
      this.inc(counters.malformedFrames)
    },
  })
  const byKey = (name: string, help: string, label: string, values: ReadonlyMap<string, number>): void => {
    new Counter({
      name,
      help,
      labelNames: [label],
      registers,
      collect() {
        this.reset()
        for (const [key, count] of values) this.inc({ [label]: key }, count)
      },
    })
  }
  byKey(
    'cumulus_network_refused_peers_total',
    'Peers refused before a session, by reason.',
    'reason',
    counters.refusedPeers,
  )
  byKey('cumulus_network_errors_total', 'Error frames and failed sessions, by code.', 'code', counters.errors)
}
