export { type AdminServer, type HealthReport, startAdminServer } from './admin-server.ts'
export { Deferred, limitConcurrency, retry, sleep } from './async.ts'
export { createBreather } from './breather.ts'
export { readJsonFile, writeFileAtomic } from './files.ts'
export { createLogger, type LogFields, type Logger, type LogLevel } from './logger.ts'
export { Counter, createMetrics, Gauge, Histogram, type Metrics } from './metrics.ts'
export type { RoleContext, RunningRole } from './role.ts'
export { ServiceError } from './service-error.ts'
export {
  kebab,
  nearest,
  parseBytes,
  readSettings,
  type SettingSpec,
  type Settings,
  SettingsError,
  type SettingsSpec,
} from './settings.ts'
export { endThread } from './thread.ts'
