import { createLogger, createMetrics } from '@cumulus/service'
import { startFullNode } from '../src/index.ts'
import { testGenesis } from './test-network.ts'

// A full node as a process of its own, for tests that kill it: prints its port, and runs until then.
const [dir, trusted] = process.argv.slice(2)
const role = await startFullNode(
  {
    dir: dir!,
    genesis: testGenesis(),
    rpc: { host: '127.0.0.1', port: 0 },
    trustedPeers: [trusted!],
    limits: { follower: { rangeBlocks: 8 } },
  },
  {
    signal: new AbortController().signal,
    log: createLogger({ name: 'node', level: 'error' }),
    metrics: createMetrics(),
  },
)
process.stdout.write(`${role.ports['rpc']}\n`)
