import { Counter, Gauge, Histogram, type Metrics } from '@cumulus/service'

/** Figures of all miners of a process: several may share one registry, labelled by account. */
export interface MinerMetrics {
  readonly requests: Counter<'op' | 'code'>
  readonly putBytes: Counter
  readonly getBytes: Counter
  readonly logBytes: Counter
  readonly putSeconds: Histogram
  readonly corrupt: Counter
  readonly freed: Counter<'reason'>
  readonly units: Gauge<'account' | 'kind'>
  readonly links: Gauge<'account'>
  readonly direct: Gauge<'account'>
  readonly proofs: Counter<'outcome'>
  readonly proofSeconds: Histogram
  readonly tags: Counter<'outcome'>
  readonly losses: Counter
  readonly tagBacklog: Gauge<'account'>
  readonly lastProofEpoch: Gauge<'account'>
  readonly earnings: Gauge<'account' | 'kind'>
}

export function createMinerMetrics(registry: Metrics): MinerMetrics {
  const registers = [registry]
  const once = <Metric>(name: string, make: () => Metric): Metric =>
    (registry.getSingleMetric(name) as Metric | undefined) ?? make()
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    once(name, () => new Counter<Label>({ name, help, labelNames, registers }))
  const gauge = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    once(name, () => new Gauge<Label>({ name, help, labelNames, registers }))
  return {
    requests: counter('cumulus_miner_requests_total', 'Requests answered, by op and outcome', ['op', 'code']),
    putBytes: counter('cumulus_miner_put_bytes_total', 'Bytes of fragments made durable'),
    getBytes: counter('cumulus_miner_get_bytes_total', 'Bytes of fragments read for gateways'),
    logBytes: counter('cumulus_miner_log_bytes_total', 'Bytes of pack logs made durable'),
    putSeconds: once(
      'cumulus_miner_put_seconds',
      () =>
        new Histogram({
          name: 'cumulus_miner_put_seconds',
          help: 'From a whole fragment in memory to its receipt',
          buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10],
          registers,
        }),
    ),
    corrupt: counter('cumulus_miner_corrupt_fragments_total', 'Fragments found damaged'),
    freed: counter('cumulus_miner_freed_fragments_total', 'Fragments dropped, by reason', ['reason']),
    units: gauge('cumulus_miner_units', 'Cells, by what is in them', ['account', 'kind']),
    direct: gauge('cumulus_miner_direct_io', '1 = cells are written with O_DIRECT, 0 = through the page cache', [
      'account',
    ]),
    proofs: counter('cumulus_miner_proofs_total', 'Challenges of data, by outcome', ['outcome']),
    proofSeconds: once(
      'cumulus_miner_proof_seconds',
      () =>
        new Histogram({
          name: 'cumulus_miner_proof_seconds',
          help: 'From a challenge to its proof in the chain',
          buckets: [0.1, 0.3, 1, 3, 10, 30, 60],
          registers,
        }),
    ),
    tags: counter('cumulus_miner_tags_total', 'Tags of fragments checked, by outcome', ['outcome']),
    losses: counter('cumulus_miner_losses_total', 'Fragments reported as lost'),
    tagBacklog: gauge('cumulus_miner_tag_backlog', 'Committed fragments that do not earn yet', ['account']),
    lastProofEpoch: gauge('cumulus_miner_last_proof_epoch', 'Epoch of the last proof that passed', ['account']),
    earnings: gauge('cumulus_miner_earnings', 'Rewards in whole tokens, by what may be done with them', [
      'account',
      'kind',
    ]),
    links: gauge('cumulus_miner_links', 'Sessions with gateways', ['account']),
  }
}
