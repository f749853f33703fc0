import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { addTally, type Campaign, emptyTally, type Tally } from './campaign.ts'
import type { MutationName } from './mutations.ts'
import type { Job, WorkerStart } from './worker.ts'

export interface PoolOptions {
  readonly workers: number
  readonly mutation?: MutationName
  /** Stop when a seed fails: the number of seeds is then how many it took. */
  readonly stopAtFirst?: boolean
  readonly onProgress?: (done: number) => void
}

/** Runs seeds `from` to `to` on several threads. The tally is the same for any number of them. */
export async function runCampaign(campaign: Campaign, from: number, to: number, options: PoolOptions): Promise<Tally> {
  const sum = emptyTally()
  const chunk = Math.max(1, Math.min(100, Math.ceil((to - from) / (4 * options.workers))))
  const start: WorkerStart = { mutation: options.mutation ?? null }
  let next = from
  const work = async (): Promise<void> => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), {
      workerData: start,
      execArgv: ['--conditions=@cumulus/source'],
    })
    try {
      while (next < to && !(options.stopAtFirst && sum.violations.length > 0)) {
        const job: Job = {
          campaign,
          from: next,
          to: Math.min(to, next + chunk),
          stopAtFirst: options.stopAtFirst ?? false,
        }
        next = job.to
        worker.postMessage(job)
        const [tally] = (await once(worker, 'message')) as [Tally]
        addTally(sum, tally)
        options.onProgress?.(sum.seeds)
      }
    } finally {
      await worker.terminate()
    }
  }
  await Promise.all(Array.from({ length: options.workers }, work))
  sum.violations.sort((a, b) => a.seed - b.seed)
  return sum
}
