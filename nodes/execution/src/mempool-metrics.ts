import { Counter, Gauge, type Metrics } from '@cumulus/service'

/** Figures of one pool. */
export function createPoolMetrics(metrics: Metrics, pool: { readonly count: number; readonly bytes: number }) {
  const registers = [metrics]
  new Gauge({
    name: 'cumulus_validator_mempool_transactions',
    help: 'Transactions that wait for a chain block',
    registers,
    collect() {
      this.set(pool.count)
    },
  })
  new Gauge({
    name: 'cumulus_validator_mempool_bytes',
    help: 'Bytes of the transactions that wait',
    registers,
    collect() {
      this.set(pool.bytes)
    },
  })
  return {
    accepted: new Counter({
      name: 'cumulus_validator_mempool_accepted_total',
      help: 'Transactions taken into the mempool',
      registers,
    }),
    rejected: new Counter({
      name: 'cumulus_validator_mempool_rejected_total',
      help: 'Transactions refused, by code',
      labelNames: ['code'],
      registers,
    }),
    removed: new Counter({
      name: 'cumulus_validator_mempool_removed_total',
      help: 'Transactions that left the mempool, by reason',
      labelNames: ['reason'],
      registers,
    }),
  }
}
