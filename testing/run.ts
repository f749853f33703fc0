/**
 * `npm test`: the unit tests of every package, then whole networks. `npm run test:unit` and `npm run test:e2e` run one
 * kind; further words are patterns. Networks want the machine for themselves, but for those that mostly wait for epochs
 * and eras: these run beside each other. They have to answer in time, so nothing that keeps the machine busy runs beside
 * them. What the second one prints comes when it is done.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { resolve } from 'node:path'

interface Suite {
  readonly kind: 'unit' | 'e2e'
  readonly files: readonly string[]
  readonly without?: readonly string[]
  readonly concurrency: number
  readonly timeoutMinutes: number
}

const wholeNetworks = [
  'testing/e2e/test/**/*.test.ts',
  'testing/tools/test/**/*.test.ts',
  'testing/bench/test/s3-network.test.ts',
]
/** Their pace is looked at, or they want the ports that a user has. */
const alone = [
  'testing/e2e/test/consensus.test.ts',
  'testing/e2e/test/readme.test.ts',
  'testing/bench/test/s3-network.test.ts',
]
const waiting = [['miners'], ['proofs', 'workers']].map((names) =>
  names.map((name) => `testing/e2e/test/${name}.test.ts`),
)
const packages = ['{lib,protocol,platform,nodes,apps}/*/test/**/*.test.ts', 'testing/{sim,bench}/test/**/*.test.ts']

/** Those of one step run at once. */
const steps: readonly (readonly Suite[])[] = [
  [{ kind: 'unit', files: packages, without: wholeNetworks, concurrency: 2, timeoutMinutes: 5 }],
  [{ kind: 'e2e', files: alone, concurrency: 1, timeoutMinutes: 20 }],
  [
    {
      kind: 'e2e',
      files: wholeNetworks,
      without: [...alone, ...waiting.flat()],
      concurrency: 1,
      timeoutMinutes: 20,
    },
  ],
  waiting.map((files) => ({ kind: 'e2e', files, concurrency: 1, timeoutMinutes: 20 })),
]

const [kind, ...patterns] = process.argv.slice(2)
if (kind !== undefined && kind !== 'unit' && kind !== 'e2e') {
  process.stderr.write(`no tests of kind "${kind}": choose unit or e2e\n`)
  process.exit(64)
}

// Some three hundred processes load the same sources: compiled once, each starts in a third less CPU time.
const env = { NODE_COMPILE_CACHE: resolve('node_modules/.cache/cumulus-tests'), ...process.env }

const running = new Set<ChildProcess>()
// What runs in a session of its own does not hear of Ctrl-C by itself.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    for (const child of running) child.kill(signal)
  })
}

let isMatched = false
for (const step of steps) {
  const runs = step
    .filter((suite) => kind === undefined || suite.kind === kind)
    .map((suite) => ({ suite, files: filesOf(suite) }))
    .filter(({ files }) => files.length > 0)
  if (runs.length > 0) isMatched = true
  const passed = await Promise.all(runs.map(({ suite, files }, i) => run(suite, files, i === 0)))
  if (!passed.every(Boolean)) process.exit(1)
}
if (!isMatched) {
  process.stderr.write(`no test matches ${patterns.join(' ')}\n`)
  process.exit(1)
}

function filesOf({ files, without = [] }: Suite): string[] {
  return globSync([...files], { exclude: [...without] })
    .filter((file) => patterns.length === 0 || patterns.some((pattern) => file.includes(pattern)))
    .sort()
}

/** Whether all pass. @param isSeen what they print is seen at once, else when all have ended */
async function run({ concurrency, timeoutMinutes }: Suite, files: readonly string[], isSeen: boolean) {
  const args = [
    '--test',
    '--conditions=@cumulus/source',
    `--test-concurrency=${concurrency}`,
    `--test-timeout=${timeoutMinutes * 60_000}`,
    ...files,
  ]
  const child = spawn(process.execPath, args, {
    env,
    stdio: ['inherit', isSeen ? 'inherit' : 'pipe', 'inherit'],
    // Linux shares a busy machine out between sessions first: those that wait for epochs get their turn in time.
    detached: !isSeen,
  })
  running.add(child)
  const chunks: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk))
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  running.delete(child)
  for (const chunk of chunks) process.stdout.write(chunk)
  return code === 0
}
