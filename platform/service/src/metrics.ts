import { collectDefaultMetrics, Registry } from 'prom-client'

export { Counter, Gauge, Histogram } from 'prom-client'

/** Where a process collects its Prometheus metrics. Names: `cumulus_<role>_<what>_<unit or total>`. */
export type Metrics = Registry

/** A registry that already holds the figures of the process itself: CPU, memory, event loop. */
export function createMetrics(init: { process?: boolean } = {}): Metrics {
  const registry = new Registry()
  if (init.process ?? true) collectDefaultMetrics({ register: registry })
  return registry
}
