import { Counter, Gauge, Histogram, type Metrics } from '@cumulus/service'

/** Figures of one RPC server. Method names come from the table, never from the request: a stranger cannot add series. */
export class RpcMetrics {
  readonly requests: Counter<'method' | 'outcome'>
  readonly durationSeconds: Histogram<'method'>
  readonly limitHits: Counter<'limit'>
  readonly refusedConnections: Counter<'reason'>
  readonly sockets: Gauge
  readonly subscriptions: Gauge<'kind'>
  readonly filters: Gauge

  constructor(registry: Metrics) {
    const registers = [registry]
    this.requests = new Counter({
      name: 'cumulus_rpc_requests_total',
      help: 'JSON-RPC requests by method and outcome (ok, error)',
      labelNames: ['method', 'outcome'],
      registers,
    })
    this.durationSeconds = new Histogram({
      name: 'cumulus_rpc_request_duration_seconds',
      help: 'Time to answer one JSON-RPC request',
      labelNames: ['method'],
      buckets: [0.0005, 0.002, 0.01, 0.05, 0.25, 1, 5],
      registers,
    })
    this.limitHits = new Counter({
      name: 'cumulus_rpc_limit_hits_total',
      help: 'Requests that were refused because of a limit',
      labelNames: ['limit'],
      registers,
    })
    this.refusedConnections = new Counter({
      name: 'cumulus_rpc_refused_total',
      help: 'HTTP requests and WebSockets refused before their body was read',
      labelNames: ['reason'],
      registers,
    })
    this.sockets = new Gauge({ name: 'cumulus_rpc_sockets', help: 'Open WebSockets', registers })
    this.subscriptions = new Gauge({
      name: 'cumulus_rpc_subscriptions',
      help: 'Open subscriptions by kind',
      labelNames: ['kind'],
      registers,
    })
    this.filters = new Gauge({ name: 'cumulus_rpc_filters', help: 'Installed filters', registers })
  }
}
