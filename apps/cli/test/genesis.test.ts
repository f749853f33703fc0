import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, mock } from 'node:test'
import { hexToBytes } from '@cumulus/bytes'
import { createGenesis, readGenesis } from '@cumulus/execution'
import { minimal } from '@cumulus/params'
import { createLogger, createMetrics } from '@cumulus/service'
import { startValidator } from '@cumulus/validator'
import { parseAllocationTable } from '../src/allocation-table.ts'
import { type Command, parseCall } from '../src/command.ts'
import { faucet } from '../src/commands/faucet.ts'
import { genesis, genesisCheck } from '../src/commands/genesis.ts'
import { addressOf } from '../src/plan.ts'

const signal = new AbortController().signal
const address = (index: number) => `0x${index.toString(16).padStart(40, '0')}` as const

/** What a command prints. */
async function run(definition: Command, ...argv: string[]): Promise<string> {
  const lines: string[] = []
  const log = mock.method(console, 'log', (line: string) => void lines.push(line))
  try {
    const { settings, positionals } = parseCall(definition.settings, argv, {})
    assert.equal(await definition.run({ settings, positionals, signal } as never), 0)
  } finally {
    log.mock.restore()
  }
  return lines.join('\n')
}

describe('a table of allocations', () => {
  it('says what was written down, whatever the spaces, comments and separators', () => {
    const amounts = [0n, 1n, 10n ** 18n, 125n * 10n ** 17n, 999_999_999n * 10n ** 18n + 1_000_000_000_000n]
    for (const newline of ['\n', '\r\n']) {
      for (const between of [',', ' , ', ';', '\t']) {
        const lines = amounts.flatMap((wei, index) => [
          `# ${index}`,
          '',
          ` ${address(index).toUpperCase().replace('X', 'x')}${between}${wei / 10n ** 18n}.${String(wei % 10n ** 18n).padStart(18, '0')} # somebody`,
        ])
        assert.deepEqual(
          parseAllocationTable(lines.join(newline)),
          amounts.map((balance, index) => ({ address: address(index), balance })),
        )
      }
    }
  })

  it('names the line that makes no sense', () => {
    for (const [line, what] of [
      ['0x12, 5', /line 2: "0x12" is no address/],
      [`${address(1)}`, /line 2: .* has not two fields/],
      [`${address(1)}, 5, 6`, /line 2: .* has not two fields/],
      [`${address(1)}, five`, /line 2: "five" is no amount of tokens/],
      [`${address(1)}, -5`, /line 2: "-5" is no amount/],
      [`${address(7)}, 5`, /line 2: .* is in line 1 already/],
    ] as const) {
      assert.throws(() => parseAllocationTable(`${address(7)}, 1\n${line}`), { code: 'BAD_TABLE', message: what })
    }
  })
})

describe('cumulus genesis', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-genesis-'))
  })
  after(() => rm(dir, { recursive: true }))

  it('writes what nodes read, shows its hash, and the check says the same', async () => {
    const [table, file] = [join(dir, 'tokens.csv'), join(dir, 'genesis.json')]
    await writeFile(table, `${address(1)}, 12.5\n${address(2)}, 7.5 # Bob\n`)
    const flags = [
      '--allocations',
      table,
      '--time',
      '2026-12-01T00:00:00Z',
      '--preset',
      'minimal',
      '--simulated-attestation',
    ]
    const made = JSON.parse(await run(genesis, file, ...flags, '--json'))
    const read = await readGenesis(file)
    assert.deepEqual(read.allocations, [
      { address: address(1), balance: 125n * 10n ** 17n },
      { address: address(2), balance: 75n * 10n ** 17n },
    ])
    assert.deepEqual([read.preset, read.timeMs, read.attestation?.simulated], ['minimal', Date.UTC(2026, 11, 1), true])
    assert.equal(made.allocatedTokens, '20')
    assert.deepEqual(JSON.parse(await run(genesisCheck, file, '--json')), made)
    assert.match(await run(genesisCheck, file), new RegExp(`hash +${made.hash}`))
    // The same again is the same network, another time is another.
    assert.equal(JSON.parse(await run(genesis, file, ...flags, '--force', '--json')).hash, made.hash)
    const later = [...flags.slice(0, 3), '2026-12-02T00:00:00Z', ...flags.slice(4)]
    assert.notEqual(JSON.parse(await run(genesis, file, ...later, '--force', '--json')).hash, made.hash)
  })

  it('leaves a file that is there alone, and writes none that would be refused', async () => {
    const file = join(dir, 'other.json')
    await writeFile(file, 'mine')
    await assert.rejects(run(genesis, file), { code: 'FILE_EXISTS' })
    assert.equal(await readFile(file, 'utf8'), 'mine')
    const fresh = join(dir, 'fresh.json')
    const table = join(dir, 'rich.csv')
    await writeFile(table, `${address(1)}, 100000000001\n`)
    await assert.rejects(run(genesis, fresh, '--allocations', table), { code: 'GENESIS_MALFORMED' })
    await assert.rejects(run(genesis, fresh, '--preset', 'mainnet', '--simulated-attestation'), {
      code: 'GENESIS_MALFORMED',
    })
    await assert.rejects(run(genesis, fresh, '--time', 'tomorrow'), { code: 'BAD_TIME' })
    await assert.rejects(run(genesis, fresh, '--allocations', join(dir, 'none.csv')), { code: 'NO_TABLE' })
    await assert.rejects(run(genesis, fresh, '--committee', join(dir, 'none.json')), { code: 'NO_COMMITTEE' })
    await assert.rejects(run(genesis), /name one file/)
    await assert.rejects(readFile(fresh), { code: 'ENOENT' })
  })
})

describe('cumulus faucet', () => {
  it('gives tokens to an account, once an epoch', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'cumulus-faucet-'))
    const key = `0x${'11'.repeat(32)}` as const
    const allocations = [{ address: addressOf(hexToBytes(key)), balance: 10n ** 24n }]
    const stop = new AbortController()
    const role = await startValidator(
      {
        dir: join(dir, 'chain'),
        genesis: createGenesis({ preset: 'minimal', timeMs: Date.now(), allocations }),
        rpc: { host: '127.0.0.1', port: 0 },
      },
      {
        signal: stop.signal,
        log: createLogger({ name: 'validator', write: () => {} }),
        metrics: createMetrics({ process: false }),
      },
    )
    const keyFile = join(dir, 'key')
    await writeFile(keyFile, key, { mode: 0o600 })
    const flags = ['--key-file', keyFile, '--rpc', `http://127.0.0.1:${role.ports['rpc']}`, '--preset', 'minimal']
    const given = JSON.parse(await run(faucet, address(77), ...flags, '--json'))
    assert.deepEqual(given, { to: address(77), amount: String(minimal.faucetGrant) })
    // An epoch may end between two calls, not between any two.
    const again = async () => {
      for (;;) await run(faucet, address(78), ...flags)
    }
    await assert.rejects(again(), { code: 'FAUCET_REFUSED', message: /already claimed in this epoch/ })
    await assert.rejects(run(faucet, 'me', ...flags), /name one address/)
    stop.abort()
    await role.stopped
    await rm(dir, { recursive: true })
  })
})
