import { registerHooks } from 'node:module'
import { parentPort, workerData } from 'node:worker_threads'
import type { Campaign, Tally } from './campaign.ts'
import { MUTATIONS, type MutationName } from './mutations.ts'

export interface WorkerStart {
  readonly mutation: MutationName | null
}

export interface Job {
  readonly campaign: Campaign
  readonly from: number
  readonly to: number
  readonly stopAtFirst: boolean
}

const { mutation } = workerData as WorkerStart
if (mutation) {
  const { file, find, replace } = MUTATIONS[mutation]
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context)
      if (!url.endsWith(`/protocol/${file}`)) return loaded
      const parts = String(
        loaded.source instanceof Uint8Array ? new TextDecoder().decode(loaded.source) : loaded.source,
      ).split(find)
      if (parts.length !== 2) throw new Error(`mutation "${mutation}" fits ${parts.length - 1} places of ${file}`)
      return { ...loaded, source: parts.join(replace) }
    },
  })
}

// Only now: the hook above must see the law being loaded.
const { tallySeeds } = await import('./campaign.ts')

parentPort!.on('message', ({ campaign, from, to, stopAtFirst }: Job) => {
  const tally: Tally = tallySeeds(campaign, from, to, stopAtFirst)
  parentPort!.postMessage(tally)
})
