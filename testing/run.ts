/**
 * `npm test`: the unit tests of every package, then whole networks. One after the other, because the second kind
 * wants the machine for itself. `npm run test:unit` and `npm run test:e2e` run one kind; further words are patterns.
 */
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { resolve } from 'node:path'

const [kind, ...patterns] = process.argv.slice(2)

const wholeNetworks = [
  'testing/e2e/test/**/*.test.ts',
  'testing/tools/test/**/*.test.ts',
  'testing/bench/test/s3-network.test.ts',
]
/** Whole networks whose pace is looked at, so they run alone. The others mostly wait for blocks, epochs and eras. */
const paced = ['testing/e2e/test/consensus.test.ts', 'testing/bench/test/s3-network.test.ts']
const packages = ['{lib,protocol,platform,nodes,apps}/*/test/**/*.test.ts', 'testing/{sim,bench}/test/**/*.test.ts']

const suites = [
  { name: 'unit', files: packages, without: wholeNetworks, concurrency: 2, timeoutMinutes: 5 },
  { name: 'e2e', files: paced, without: [], concurrency: 1, timeoutMinutes: 20 },
  { name: 'e2e', files: wholeNetworks, without: paced, concurrency: 2, timeoutMinutes: 20 },
].filter((suite) => kind === undefined || suite.name === kind)

if (suites.length === 0) {
  process.stderr.write(`no tests of kind "${kind}": choose unit or e2e\n`)
  process.exit(64)
}

// Some three hundred processes load the same sources: compiled once, each starts in a third less CPU time.
const env = { NODE_COMPILE_CACHE: resolve('node_modules/.cache/cumulus-tests'), ...process.env }

let isMatched = false
for (const suite of suites) {
  const files = globSync(suite.files, { exclude: suite.without })
    .filter((file) => patterns.length === 0 || patterns.some((pattern) => file.includes(pattern)))
    .sort()
  if (files.length === 0) continue
  isMatched = true
  const { status, signal } = spawnSync(
    process.execPath,
    [
      '--test',
      '--conditions=@cumulus/source',
      `--test-concurrency=${suite.concurrency}`,
      `--test-timeout=${suite.timeoutMinutes * 60_000}`,
      ...files,
    ],
    { stdio: 'inherit', env },
  )
  if (status !== 0) process.exit(status ?? (signal ? 1 : 0))
}
if (!isMatched) {
  process.stderr.write(`no test matches ${patterns.join(' ')}\n`)
  process.exit(1)
}
