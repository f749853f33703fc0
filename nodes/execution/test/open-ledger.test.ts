import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { bytesToHex } from '@cumulus/bytes'
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
