import { Counter, Gauge, Histogram, type Metrics } from '@cumulus/service'

/** What the front end counts. */
export interface S3Metrics {
  readonly requests: Counter<'operation' | 'status'>
  readonly seconds: Histogram<'operation'>
  readonly receivedBytes: Counter
  readonly sentBytes: Counter
  readonly authFailures: Counter<'reason'>
  readonly inFlight: Gauge
  readonly connections: Gauge
  readonly malformed: Counter<'reason'>
}

export function createS3Metrics(registry: Metrics): S3Metrics {
  const registers = [registry]
  return {
    requests: new Counter({
      name: 'cumulus_gateway_s3_requests_total',
      help: 'S3 requests answered, by operation and status; 499 = the client left first.',
      labelNames: ['operation', 'status'],
      registers,
    }),
    seconds: new Histogram({
      name: 'cumulus_gateway_s3_request_seconds',
      help: 'Time from the header of a request to the last byte of its answer.',
      labelNames: ['operation'],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
      registers,
    }),
    receivedBytes: new Counter({
      name: 'cumulus_gateway_s3_received_bytes_total',
      help: 'Bytes of bodies received, chunk framing included.',
      registers,
    }),
    sentBytes: new Counter({
      name: 'cumulus_gateway_s3_sent_bytes_total',
      help: 'Bytes of answers sent, without headers.',
      registers,
    }),
    authFailures: new Counter({
      name: 'cumulus_gateway_s3_auth_failures_total',
      help: 'Requests whose signature was refused, by error code.',
      labelNames: ['reason'],
      registers,
    }),
    inFlight: new Gauge({
      name: 'cumulus_gateway_s3_in_flight_requests',
      help: 'Requests under way.',
      registers,
    }),
    connections: new Gauge({
      name: 'cumulus_gateway_s3_open_connections',
      help: 'Open connections of clients.',
      registers,
    }),
    malformed: new Counter({
      name: 'cumulus_gateway_s3_malformed_requests_total',
      help: 'Connections ended because what came was not HTTP, too long or too slow.',
      labelNames: ['reason'],
      registers,
    }),
  }
}
