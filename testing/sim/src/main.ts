import { parseArgs } from 'node:util'
import { type Campaign, runSeed, type Tally } from './campaign.ts'
import { minimise } from './minimise.ts'
import { MUTATIONS, type MutationName } from './mutations.ts'
import { drawPlan } from './plan.ts'
import { runCampaign } from './pool.ts'

const USAGE = `node --conditions=@cumulus/source testing/sim/src/main.ts [options]
  --seeds 2000     how many seeds
  --from 0         the first one
  --n 4            members; may be repeated
  --twins 1        the directed adversary with so many twins instead of random faults
  --workers 2      threads
  --mutation NAME  with this control built in; stops when it is caught
  --controls       every control in turn
  --seed 7         runs one seed, and makes its plan smaller if it fails`

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '2000' },
    from: { type: 'string', default: '0' },
    n: { type: 'string', multiple: true, default: ['4', '11'] },
    twins: { type: 'string' },
    workers: { type: 'string', default: '2' },
    mutation: { type: 'string' },
    controls: { type: 'boolean', default: false },
    seed: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const HEAD = [
  '| n | adversary | control | seeds | with faults | with evidence | violations | rounds/seed | direct commit / direct skip / indirect % | s | trace |',
  '|---|---|---|---|---|---|---|---|---|---|---|',
].join('\n')

if (values.help) console.log(USAGE)
else if (values.seed !== undefined) replay(number(values.seed), values.n.map(number)[0]!)
else await campaigns()

function replay(seed: number, size: number): void {
  const campaign: Campaign = { size, twins: values.twins === undefined ? null : number(values.twins) }
  const result = runSeed(campaign, seed)
  console.log(`seed ${seed}, n = ${size}: ${result.violation?.message ?? 'no violation'}; trace ${hex(result.trace)}`)
  if (!result.violation) return
  process.exitCode = 1
  if (campaign.twins === null) console.log(JSON.stringify(minimise(drawPlan(seed, size)), null, 2))
}

async function campaigns(): Promise<void> {
  const names = values.controls ? (Object.keys(MUTATIONS) as MutationName[]) : [undefined]
  const mutation = values.mutation as MutationName | undefined
  if (mutation && !(mutation in MUTATIONS)) throw new Error(`controls are: ${Object.keys(MUTATIONS).join(', ')}`)
  console.log(HEAD)
  for (const size of values.n.map(number)) {
    for (const name of mutation ? [mutation] : names) await campaign(size, name)
  }
}

async function campaign(size: number, mutation: MutationName | undefined): Promise<void> {
  const startedMs = Date.now()
  const from = number(values.from)
  const twins = values.twins === undefined ? null : number(values.twins)
  const tally = await runCampaign({ size, twins }, from, from + number(values.seeds), {
    workers: number(values.workers),
    mutation,
    stopAtFirst: mutation !== undefined,
    onProgress: (done) => {
      if (process.stderr.isTTY)
        process.stderr.write(`\r${done} seeds, ${((Date.now() - startedMs) / 1000).toFixed(0)} s`)
    },
  })
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  console.log(row(size, twins, mutation, tally, (Date.now() - startedMs) / 1000))
  for (const { seed, message } of tally.violations.slice(0, 20)) console.log(`  seed ${seed}: ${message}`)
  if (tally.violations.length > 0 !== (mutation !== undefined)) process.exitCode = 1
}

function row(size: number, twins: number | null, mutation: string | undefined, tally: Tally, seconds: number): string {
  const slots = tally.directCommits + tally.directSkips + tally.indirect
  const share = (count: number): string => ((100 * count) / Math.max(1, slots)).toFixed(1)
  const cells = [
    size,
    twins === null ? 'random' : `${twins} twins`,
    mutation ?? '-',
    tally.seeds,
    tally.withFaults,
    tally.withEvidence,
    tally.violations.length,
    (tally.rounds / tally.seeds).toFixed(1),
    `${share(tally.directCommits)} / ${share(tally.directSkips)} / ${share(tally.indirect)}`,
    seconds.toFixed(1),
    hex(tally.trace),
  ]
  return `| ${cells.join(' | ')} |`
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0')
}

function number(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) throw new Error(`"${text}" is not a whole number\n${USAGE}`)
  return value
}
