import { parentPort, workerData } from 'node:worker_threads'
import type { Campaign, Scenario, Tally } from './campaign.ts'
import { loadMutation } from './load-mutation.ts'
import type { MutationName } from './mutations.ts'

export interface WorkerStart {
  readonly mutation: MutationName | null
}

export type Job =
  | {
      readonly kind: 'seeds'
      readonly campaign: Campaign
      readonly from: number
      readonly to: number
      readonly stopAtFirst: boolean
    }
  /** A scenario with `tries` seeds for the network, from its own one on, until one fails. */
  | { readonly kind: 'scenario'; readonly scenario: Scenario; readonly tries: number }
  | { readonly kind: 'minimise'; readonly scenario: Scenario }
export type JobKind = Job['kind']

export interface JobResults {
  readonly seeds: Tally
  readonly scenario: Tally
  readonly minimise: Scenario
}

const { mutation } = workerData as WorkerStart
if (mutation) loadMutation(mutation)

// Only now: the hook above must see the law being loaded.
const { tallyScenario, tallySeeds } = await import('./campaign.ts')
const { minimise } = await import('./minimise.ts')

function run(job: Job): JobResults[JobKind] {
  if (job.kind === 'seeds') return tallySeeds(job.campaign, job.from, job.to, job.stopAtFirst)
  if (job.kind === 'scenario') return tallyScenario(job.scenario, job.tries)
  return minimise(job.scenario)
}

parentPort!.on('message', (job: Job) => parentPort!.postMessage(run(job)))
