import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createGenesis, parseGenesis, readGenesis, writeGenesis } from '../src/genesis-file.ts'

const address = `0x${'Ab'.repeat(20)}` as const
const valid = { version: 1, preset: 'dev', timeMs: 1_764_000_000_000, allocations: [{ address, balance: '5' }] }

describe('a genesis file', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-genesis-'))
  })
  after(() => rm(dir, { recursive: true }))

  it('comes back from disk as it was written', async () => {
    const genesis = createGenesis({
      preset: 'minimal',
      timeMs: 1_764_000_000_000,
      allocations: [{ address, balance: 10n ** 24n }],
    })
    await writeGenesis(join(dir, 'genesis.json'), genesis)
    assert.deepEqual(await readGenesis(join(dir, 'genesis.json')), genesis)
    assert.match(await readFile(join(dir, 'genesis.json'), 'utf8'), /"balance": "1000000000000000000000000"/)
  })

  it('that is wrong is refused with the name of the field', () => {
    const wrong: [object, string][] = [
      [{ version: 2 }, 'version'],
      [{ preset: 'devnet' }, 'preset'],
      [{ preset: 'toString' }, 'preset'],
      [{ timeMs: '1764000000000' }, 'timeMs'],
      [{ timeMs: -1 }, 'timeMs'],
      [{ allocations: {} }, 'allocations'],
      [{ allocations: [{ address: '0x12', balance: '1' }] }, 'allocations[0].address'],
      [{ allocations: [{ address, balance: 5 }] }, 'allocations[0].balance'],
      [{ allocations: [{ address, balance: '-5' }] }, 'allocations[0].balance'],
      [
        {
          allocations: [
            { address, balance: '1' },
            { address: address.toLowerCase(), balance: '1' },
          ],
        },
        'allocations[1].address',
      ],
      [{ allocations: [{ address, balance: '9'.repeat(39) }] }, 'allocations'],
      [{ alocations: [] }, 'alocations'],
    ]
    assert.equal(parseGenesis(valid).allocations[0]!.balance, 5n)
    for (const [change, path] of wrong) {
      assert.throws(
        () => parseGenesis({ ...valid, ...change }),
        (error: { code: string; details: { path: string } }) => {
          assert.deepEqual([error.code, error.details.path], ['GENESIS_MALFORMED', path])
          return true
        },
      )
    }
    for (const value of [null, [], 'genesis', 1])
      assert.throws(() => parseGenesis(value), { code: 'GENESIS_MALFORMED' })
  })

  it('that is missing or not JSON has its own error', async () => {
    await assert.rejects(readGenesis(join(dir, 'nowhere.json')), { code: 'GENESIS_MISSING' })
    await writeFile(join(dir, 'cut.json'), '{"version": 1, "pres')
    await assert.rejects(readGenesis(join(dir, 'cut.json')), { code: 'GENESIS_MALFORMED' })
  })
})
