import { existsSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { flushCompileCache } from 'node:module'
import { join } from 'node:path'
import {
  createLogger,
  createMetrics,
  type LogLevel,
  type RoleContext,
  type RunningRole,
  startAdminServer,
} from '@cumulus/service'
import { cumulusVersion } from './commands/version.ts'

export type RoleStarter = (context: RoleContext) => Promise<RunningRole>

interface RoleHost {
  /** As it logs. */
  readonly name: string
  readonly role: string
  readonly dir: string
  readonly adminHost: string
  readonly adminPort: number
  readonly logLevel: string
  readonly signal: AbortSignal
}

/**
 * Runs a role until the signal aborts or it fails: its folder, its log, its metrics, its admin server. The admin
 * server answers before the role is ready, so that whoever waits can see what it waits for.
 */
export async function runRole(host: RoleHost, start: RoleStarter): Promise<number> {
  await mkdir(host.dir, { recursive: true })
  const log = createLogger({ name: host.name, level: host.logLevel as LogLevel })
  const metrics = createMetrics()
  // The role stops on the caller's signal; if it fails to start, so does what it had begun.
  const ending = new AbortController()
  const signal = AbortSignal.any([host.signal, ending.signal])
  let role: RunningRole | undefined
  const admin = await startAdminServer({
    host: host.adminHost,
    port: host.adminPort,
    metrics,
    health: () => role?.health() ?? { ok: false, checks: [{ name: 'started', ok: false, detail: 'starting' }] },
    status: async () => ({
      role: host.name,
      version: cumulusVersion(),
      pid: process.pid,
      ports: role?.ports ?? {},
      ...(await role?.status()),
    }),
  })
  const startedMs = performance.now()
  try {
    log.info('starting', {
      version: cumulusVersion(),
      node: process.version,
      pid: process.pid,
      adminPort: admin.port,
      dir: host.dir,
    })
    role = await start({ signal, log, metrics })
    keepCompiledCode(host.role)
    log.info('ready', { ms: Math.round(performance.now() - startedMs), ...role.ports })
    await role.stopped
    log.info('stopped')
    return 0
  } catch (error) {
    if (host.signal.aborted) return 0
    log.error('failed', { error })
    throw error
  } finally {
    ending.abort()
    await admin.close()
  }
}

/** Writes what was compiled so far to the cache, if this process was given one, and notes that it is whole. */
function keepCompiledCode(role: string): void {
  const folder = process.env['CUMULUS_COMPILE_CACHE']
  if (!folder) return
  const note = join(folder, `${role}.complete`)
  if (existsSync(note)) return
  flushCompileCache()
  try {
    writeFileSync(note, '')
  } catch {
    // A cache: without it the next start is slower, and nothing else.
  }
}
