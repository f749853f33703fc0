import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { addTally, type Campaign, emptyTally, type Scenario, type Tally } from './campaign.ts'
import type { MutationName } from './mutations.ts'
import type { Job, JobResults, WorkerStart } from './worker.ts'

export interface PoolOptions {
  readonly workers: number
  readonly mutation?: MutationName
  /** Stop when a seed fails: the number of seeds is then how many it took. */
  readonly stopAtFirst?: boolean
  /** Asked before each hundred seeds. */
  readonly isOver?: () => boolean
  readonly onProgress?: (sum: Tally) => void
}

/** Runs seeds `from` to `to` on several threads. The tally is the same for any number of them. */
export async function runCampaign(campaign: Campaign, from: number, to: number, options: PoolOptions): Promise<Tally> {
  const sum = emptyTally()
  const chunk = Math.max(1, Math.min(100, Math.ceil((to - from) / (4 * options.workers))))
  const stopAtFirst = options.stopAtFirst ?? false
  let next = from
  const work = (): Promise<void> =>
    withWorker(options.mutation, async (ask) => {
      while (next < to && !(stopAtFirst && sum.violations.length > 0) && !options.isOver?.()) {
        const job = { kind: 'seeds', campaign, from: next, to: Math.min(to, next + chunk), stopAtFirst } as const
        next = job.to
        addTally(sum, await ask(job))
        options.onProgress?.(sum)
      }
    })
  await Promise.all(Array.from({ length: options.workers }, work))
  sum.violations.sort((a, b) => a.seed - b.seed)
  return sum
}

/** Runs one scenario, again with other seeds for the network up to `tries` times, until it fails. */
export function runKept(scenario: Scenario, tries: number, mutation?: MutationName): Promise<Tally> {
  return withWorker(mutation, (ask) => ask({ kind: 'scenario', scenario, tries }))
}

/** `minimise` with a control built in. */
export function minimiseWith(mutation: MutationName | undefined, scenario: Scenario): Promise<Scenario> {
  return withWorker(mutation, (ask) => ask({ kind: 'minimise', scenario }))
}

type Ask = <One extends Job>(job: One) => Promise<JobResults[One['kind']]>

async function withWorker<Result>(
  mutation: MutationName | undefined,
  use: (ask: Ask) => Promise<Result>,
): Promise<Result> {
  const start: WorkerStart = { mutation: mutation ?? null }
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    workerData: start,
    execArgv: ['--conditions=@cumulus/source'],
  })
  try {
    return await use(async (job) => {
      worker.postMessage(job)
      const [answer] = await once(worker, 'message')
      return answer
    })
  } finally {
    await worker.terminate()
  }
}
