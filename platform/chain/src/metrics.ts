import { Counter, Gauge, type Metrics } from '@cumulus/service'

/** Figures of all chain clients of a process: several roles may share one process and one registry. */
export interface ChainMetrics {
  readonly requests: Counter
  readonly failures: Counter
  readonly transactions: Counter<'outcome'>
  readonly resent: Counter<'reason'>
  readonly inFlight: Gauge
}

export function createChainMetrics(registry: Metrics): ChainMetrics {
  const registers = [registry]
  const once = <Metric>(name: string, make: () => Metric): Metric =>
    (registry.getSingleMetric(name) as Metric | undefined) ?? make()
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
    once(name, () => new Counter<Label>({ name, help, labelNames, registers }))
  return {
    requests: counter('cumulus_chain_client_requests_total', 'HTTP requests sent to nodes'),
    failures: counter('cumulus_chain_client_failures_total', 'HTTP requests that no node answered'),
    transactions: counter('cumulus_chain_client_transactions_total', 'Transactions that ended, by outcome', [
      'outcome',
    ]),
    resent: counter('cumulus_chain_client_resent_total', 'Transactions sent again, by reason', ['reason']),
    inFlight: once(
      'cumulus_chain_client_in_flight',
      () =>
        new Gauge({
          name: 'cumulus_chain_client_in_flight',
          help: 'Transactions sent and not yet in the chain',
          registers,
        }),
    ),
  }
}
