import { Counter, Gauge, Histogram, type Metrics } from '@cumulus/service'

export interface WorkerMetrics {
  readonly backlog: Gauge
  readonly undelivered: Gauge
  readonly sessions: Gauge
  readonly taggedStripes: Counter
  readonly taggedBytes: Counter
  readonly tagSeconds: Histogram
  readonly fetchedBytes: Counter
  readonly deliveries: Counter<'code'>
  readonly refused: Counter<'reason'>
  readonly unproven: Counter<'code'>
  readonly requests: Counter<'op' | 'code'>
}

export function createWorkerMetrics(registry: Metrics): WorkerMetrics {
  const registers = [registry]
  const once = <Metric>(name: string, make: () => Metric): Metric =>
    (registry.getSingleMetric(name) as Metric | undefined) ?? make()
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    once(name, () => new Counter<Label>({ name, help, labelNames, registers }))
  const gauge = (name: string, help: string) => once(name, () => new Gauge({ name, help, registers }))
  return {
    backlog: gauge('cumulus_tee_backlog', 'Stripes that wait to be tagged'),
    undelivered: gauge('cumulus_tee_undelivered', 'Stripes whose tags some seat has not taken yet'),
    sessions: gauge('cumulus_tee_sessions', 'Miners connected'),
    taggedStripes: counter('cumulus_tee_tagged_stripes_total', 'Stripes tagged'),
    taggedBytes: counter('cumulus_tee_tagged_bytes_total', 'Bytes of fragments tagged, of all seats'),
    tagSeconds: once(
      'cumulus_tee_tag_seconds',
      () =>
        new Histogram({
          name: 'cumulus_tee_tag_seconds',
          help: 'From a segment in memory to the tags of all its seats',
          buckets: [0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30],
          registers,
        }),
    ),
    fetchedBytes: counter('cumulus_tee_fetched_bytes_total', 'Bytes of fragments fetched from miners'),
    deliveries: counter('cumulus_tee_deliveries_total', 'Tags handed to seats, by outcome', ['code']),
    refused: counter('cumulus_tee_refused_total', 'Stripes not tagged for good, by reason', ['reason']),
    unproven: counter('cumulus_tee_unproven_total', 'Segment roots that a node could not prove, by reason', ['code']),
    requests: counter('cumulus_tee_requests_total', 'Requests of miners, by op and outcome', ['op', 'code']),
  }
}
