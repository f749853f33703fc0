import { readFile } from 'node:fs/promises'
import { parseGenesis } from '@cumulus/execution'
import { createLogger, createMetrics } from '@cumulus/service'
import { startValidator } from '../src/validator.ts'

// A member of a committee as a process of its own, for tests that kill it, with a log that is often begun anew: says when it is ready, and runs until then.
const [dir, genesis] = process.argv.slice(2)
await startValidator(
  {
    dir: dir!,
    genesis: parseGenesis(JSON.parse(await readFile(genesis!, 'utf8'))),
    rpc: { host: '127.0.0.1', port: 0 },
    pace: { minRoundMs: 20, idleRoundMs: 100, logBytes: 2 ** 14 },
  },
  {
    signal: new AbortController().signal,
    log: createLogger({ name: 'member', level: 'error' }),
    metrics: createMetrics(),
  },
)
process.stdout.write('ready\n')
