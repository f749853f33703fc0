import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { bytesToHex } from '@cumulus/bytes'
import { MemoryLedgerStore } from '@cumulus/ledger'
import { createMetrics } from '@cumulus/service'
import { BlockExecutor } from '../src/block-executor.ts'
import { parseGenesis } from '../src/genesis-file.ts'
import { LmdbLedgerStore } from '../src/lmdb-ledger-store.ts'
import { createDevelopmentCommittee } from '../src/member-keys.ts'
import { openLedger } from '../src/open-ledger.ts'

const plain = { version: 2, preset: 'minimal', timeMs: 1_764_000_000_000, allocations: [] }
const { committee } = createDevelopmentCommittee([{ account: `0x${'01'.repeat(20)}`, address: '/ip4/127.0.0.1/tcp/1' }])
const committeeAt = (port: number) => ({
  ...committee,
  members: [{ ...committee.members[0]!, address: `/ip4/127.0.0.1/tcp/${port}` }],
})

describe('the hash of the first block', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-open-'))
  })
  after(() => rm(dir, { recursive: true }))

  it('commits to committee and attestation: a folder opens with its own genesis only', async () => {
    const genesis = [
      plain,
      { ...plain, committee: committeeAt(1) },
      { ...plain, committee: committeeAt(2) },
      { ...plain, attestation: { simulated: true, measurements: [] } },
      { ...plain, attestation: { simulated: false, measurements: [] } },
    ].map(parseGenesis)
    const hashes = new Set<string>()
    for (const [index, mine] of genesis.entries()) {
      const folder = join(dir, `${index}`)
      const store = new LmdbLedgerStore(folder)
      try {
        hashes.add(bytesToHex((await openLedger(store, mine, folder)).genesisHash))
        const other = genesis[(index + 1) % genesis.length]!
        await assert.rejects(openLedger(store, other, folder), { code: 'GENESIS_MISMATCH' })
        await openLedger(store, mine, folder)
      } finally {
        await store.close()
      }
    }
    assert.equal(hashes.size, genesis.length)
  })
})

describe('the state of older blocks', () => {
  it('cannot be kept for no block, nor for half a block or byte', async () => {
    for (const history of [{ blocks: 0 }, { blocks: 2.5 }, { bytes: -1 }, { bytes: Number.NaN }]) {
      const opening = openLedger(new MemoryLedgerStore(), parseGenesis(plain), 'memory', { history })
      await assert.rejects(opening, RangeError)
    }
  })

  it('can be read as far back as the ledger was told to keep it, and metrics say how far', async () => {
    const genesis = parseGenesis(plain)
    for (const [history, oldest] of [
      [{ blocks: 3 }, 7n],
      [{ bytes: 1 }, 9n],
      [undefined, 0n],
    ] as const) {
      const ledger = await openLedger(new MemoryLedgerStore(), genesis, 'memory', { history })
      const metrics = createMetrics({ process: false })
      new BlockExecutor({ ledger, metrics } as ConstructorParameters<typeof BlockExecutor>[0])
      for (let number = 1n; number <= 10n; number++) {
        await ledger.execute({
          number,
          timestampMs: ledger.head.timestampMs + 1_000,
          prevRandao: new Uint8Array(32),
          coinbase: `0x${'cc'.repeat(20)}`,
          transactions: [],
        })
      }
      assert.equal(ledger.oldestState, oldest)
      const text = await metrics.metrics()
      const gauge = (name: string) => Number(new RegExp(`^cumulus_chain_${name} (\\d+)$`, 'm').exec(text)?.[1])
      assert.equal(gauge('oldest_state_height'), Number(oldest))
      const { memory } = ledger
      assert.equal(gauge('history_bytes'), Number(memory.historyBytes))
      assert.equal(gauge('cached_code_bytes'), memory.codeBytes)
      assert.equal(gauge('cached_state{kind="account"}'), memory.accounts)
      assert.equal(gauge('cached_state{kind="slot"}'), memory.slots)
      assert.equal(gauge('cached_state{kind="trie_node"}'), memory.trieNodes)
      assert.ok(memory.historyBytes > 0n && memory.trieNodes > 0)
    }
  })
})
