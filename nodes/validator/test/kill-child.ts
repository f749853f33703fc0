import { createLogger, createMetrics } from '@cumulus/service'
import { startValidator } from '../src/validator.ts'
import { testGenesis } from './test-validator.ts'

// A validator as a process of its own, for tests that kill it: prints its port, and runs until then.
const [dir] = process.argv.slice(2)
const role = await startValidator(
  { dir: dir!, genesis: testGenesis(), rpc: { host: '127.0.0.1', port: 0 }, spacingMs: 5 },
  {
    signal: new AbortController().signal,
    log: createLogger({ name: 'validator', level: 'error' }),
    metrics: createMetrics(),
  },
)
process.stdout.write(`${role.ports['rpc']}\n`)
