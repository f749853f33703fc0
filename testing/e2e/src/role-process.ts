import { startMiner } from '@cumulus/miner'
import { createLogger, createMetrics, type RoleContext, type RunningRole } from '@cumulus/service'
import { startTeeWorker, type TeeWorkerConfig } from '@cumulus/tee-worker'
import { startValidator, type ValidatorConfig } from '@cumulus/validator'
import { proofRules } from './proof-rules.ts'

/** What a process of the proof network shall be; as JSON its only argument. The private key is 32 times one byte. */
export type RoleJob = { readonly label: Readonly<Record<string, number>> } & (
  | { readonly role: 'validator'; readonly config: ValidatorConfig }
  | { readonly role: 'miner'; readonly key: number; readonly config: Omit<MinerJob, 'params' | 'privateKey'> }
  | {
      readonly role: 'tee-worker'
      readonly key: number
      readonly config: Omit<TeeWorkerConfig, 'params' | 'privateKey'>
    }
)

type MinerJob = Parameters<typeof startMiner>[0]

/** Sent to the parent once the role is ready. */
export interface RoleReady {
  readonly ports: Readonly<Record<string, number>>
}

/** Sent when the parent asks, with whatever message. */
export interface RoleMetrics {
  readonly metrics: string
}

async function start(job: RoleJob, context: RoleContext): Promise<RunningRole> {
  if (job.role === 'validator') return startValidator(job.config, context)
  const own = { params: proofRules, privateKey: new Uint8Array(32).fill(job.key) }
  if (job.role === 'miner') return startMiner({ ...job.config, ...own }, context)
  return startTeeWorker({ ...job.config, ...own }, context)
}

if (process.send) {
  const job = JSON.parse(process.argv[2]!) as RoleJob
  const stop = new AbortController()
  process.once('SIGTERM', () => stop.abort(new Error('stopped by the test')))
  // A test that died leaves nobody behind.
  process.once('disconnect', () => stop.abort(new Error('the test is gone')))
  const log = createLogger({ name: job.role, level: 'debug', json: true }).child(job.label)
  const metrics = createMetrics({ process: false })
  const running = await start(job, { signal: stop.signal, log, metrics })
  process.on('message', async () => process.send?.({ metrics: await metrics.metrics() } satisfies RoleMetrics))
  process.send?.({ ports: running.ports } satisfies RoleReady)
  await running.stopped
  process.disconnect?.()
}
