import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type Campaign, drawScenario, runScenario, type Scenario, type Tally } from './campaign.ts'
import { MUTATIONS, type MutationName } from './mutations.ts'
import { MEAN_DELAY_MS } from './plan.ts'
import { minimiseWith, runCampaign } from './pool.ts'

const USAGE = `npm run sim -- [options]
  --seeds 2000     how many seeds
  --from 0         the first one
  --n 4            members; may be repeated
  --twins 1        the directed adversary with so many twins instead of random faults
  --minutes 10     ends each campaign after so long, however many seeds that were
  --workers 2      threads
  --mutation NAME  with this control built in; stops when it is caught
  --controls       every control in turn
  --keep           prints the scenario of the first seed that failed, made smaller, as the files in seeds/ have it
  --seed 7         runs one seed, and makes its scenario smaller if it fails
  --plan FILE      runs the scenario in this file`

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '2000' },
    from: { type: 'string', default: '0' },
    n: { type: 'string', multiple: true, default: ['4', '11'] },
    twins: { type: 'string' },
    minutes: { type: 'string' },
    workers: { type: 'string', default: '2' },
    mutation: { type: 'string' },
    controls: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    seed: { type: 'string' },
    plan: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const COLUMNS = [
  'n',
  'adversary',
  'control',
  'seeds',
  'with faults',
  'with equivocators',
  'violations',
  'stalls',
  'rounds/seed',
  'direct commit / direct skip / indirect commit / indirect skip %',
  'latency in delays',
  's',
  'version',
  'trace',
]
const HEAD = `| ${COLUMNS.join(' | ')} |\n|${' - |'.repeat(COLUMNS.length)}`

const twins = values.twins === undefined ? null : number(values.twins)

if (values.help) console.log(USAGE)
else if (values.plan !== undefined) await replay(JSON.parse(readFileSync(values.plan, 'utf8')) as Scenario)
else if (values.seed !== undefined) {
  await replay(drawScenario({ size: values.n.map(number)[0]!, twins }, number(values.seed)))
} else await campaigns()

async function replay(scenario: Scenario): Promise<void> {
  const { violation, trace, plan } = runScenario(scenario)
  console.log(`seed ${plan.seed}, n = ${plan.size}: ${violation?.message ?? 'no violation'}; trace ${hex(trace)}`)
  if (!violation) return
  process.exitCode = 1
  console.log(JSON.stringify(await minimiseWith(undefined, scenario), null, 2))
}

async function campaigns(): Promise<void> {
  const names = values.controls ? (Object.keys(MUTATIONS) as MutationName[]) : [undefined]
  const mutation = values.mutation as MutationName | undefined
  if (mutation && !(mutation in MUTATIONS)) throw new Error(`controls are: ${Object.keys(MUTATIONS).join(', ')}`)
  console.log(HEAD)
  for (const size of values.n.map(number)) {
    for (const name of mutation ? [mutation] : names) await campaign({ size, twins }, name)
  }
}

async function campaign(one: Campaign, mutation: MutationName | undefined): Promise<void> {
  const startedMs = Date.now()
  const from = number(values.from)
  const untilMs = values.minutes === undefined ? Number.POSITIVE_INFINITY : startedMs + 60_000 * number(values.minutes)
  const tally = await runCampaign(one, from, from + number(values.seeds), {
    workers: number(values.workers),
    mutation,
    stopAtFirst: mutation !== undefined,
    isOver: () => Date.now() > untilMs,
    onProgress: ({ seeds }) => {
      if (process.stderr.isTTY)
        process.stderr.write(`\r${seeds} seeds, ${((Date.now() - startedMs) / 1000).toFixed(0)} s`)
    },
  })
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  console.log(row(one, mutation, tally, (Date.now() - startedMs) / 1000))
  for (const { seed, message } of tally.violations.slice(0, 20)) console.log(`  seed ${seed}: ${message}`)
  const first = tally.violations[0]
  if (values.keep && first) console.log(JSON.stringify(await minimiseWith(mutation, drawScenario(one, first.seed))))
  if (tally.violations.length > 0 !== (mutation !== undefined)) process.exitCode = 1
}

function row({ size, twins }: Campaign, mutation: string | undefined, tally: Tally, seconds: number): string {
  const { directCommits, directSkips, indirectCommits, indirectSkips } = tally
  const ways = [directCommits, directSkips, indirectCommits, indirectSkips]
  const slots = ways.reduce((sum, count) => sum + count, 0)
  const stalls = tally.violations.filter(({ code }) => code === 'STALL').length
  const cells = [
    size,
    twins === null ? 'random' : `${twins} twins`,
    mutation ?? '-',
    tally.seeds,
    tally.withFaults,
    tally.withEvidence,
    tally.violations.length - stalls,
    stalls,
    (tally.rounds / tally.seeds).toFixed(1),
    ways.map((count) => ((100 * count) / Math.max(1, slots)).toFixed(1)).join(' / '),
    (tally.latencyMs / Math.max(1, tally.latencies) / MEAN_DELAY_MS).toFixed(2),
    seconds.toFixed(1),
    version(),
    hex(tally.trace),
  ]
  return `| ${cells.join(' | ')} |`
}

/** The commit, with a plus if there is more than that in the folder. */
function version(): string {
  const { stdout, status } = spawnSync('git', ['describe', '--always', '--dirty=+', '--exclude=*'], {
    encoding: 'utf8',
  })
  return status === 0 ? stdout.trim() : '-'
}

function hex(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0')
}

function number(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) throw new Error(`"${text}" is not a whole number\n${USAGE}`)
  return value
}
