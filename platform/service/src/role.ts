import type { HealthReport } from './admin-server.ts'
import type { Logger } from './logger.ts'
import type { Metrics } from './metrics.ts'

/** What every role is started with. Aborting `signal` stops it gracefully. */
export interface RoleContext {
  readonly signal: AbortSignal
  readonly log: Logger
  readonly metrics: Metrics
}

/** A role that is ready to work. */
export interface RunningRole {
  /** Ports by purpose: `rpc`, `s3`, `data` … */
  readonly ports: Readonly<Record<string, number>>
  /** What `cumulus status` shows. Plain JSON: bigints as decimal strings. */
  status(): object | Promise<object>
  health(): HealthReport | Promise<HealthReport>
  /** Resolves after a graceful stop; rejects if the role died of something it cannot live with. */
  readonly stopped: Promise<void>
}
