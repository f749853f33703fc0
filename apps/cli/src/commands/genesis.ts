import { access } from 'node:fs/promises'
import { bytesToHex } from '@cumulus/bytes'
import { createGenesis, type GenesisFile, openLedger, readGenesis, writeGenesis } from '@cumulus/execution'
import { type GenesisCommittee, MemoryLedgerStore } from '@cumulus/ledger'
import { type PresetName, preset } from '@cumulus/params'
import { readJsonFile } from '@cumulus/service'
import { readAllocationTable } from '../allocation-table.ts'
import { formatTokens } from '../chain-access.ts'
import { CliError, command, UsageError } from '../command.ts'

/** What people and programs are told of a genesis: whoever starts from the same hash is in the same network. */
async function summaryOf(path: string, genesis: GenesisFile) {
  const ledger = await openLedger(new MemoryLedgerStore(), genesis, path)
  const allocated = genesis.allocations.reduce((sum, { balance }) => sum + balance, 0n)
  return {
    file: path,
    hash: bytesToHex(ledger.genesisHash),
    chainId: preset(genesis.preset).chainId,
    preset: genesis.preset,
    time: new Date(genesis.timeMs).toISOString(),
    allocations: genesis.allocations.length,
    allocatedTokens: formatTokens(allocated),
    members: genesis.committee?.members.length ?? 0,
    coin: genesis.committee?.coin.mode,
    attestation: genesis.attestation?.simulated ? 'simulated' : 'by hardware',
  }
}

function show(summary: Awaited<ReturnType<typeof summaryOf>>, asJson: boolean): void {
  if (asJson) {
    console.log(JSON.stringify(summary))
    return
  }
  const { file, hash, chainId, time, allocations, allocatedTokens, members, coin, attestation } = summary
  console.log(`${file}: rules of ${summary.preset}, chain ${chainId}, begins ${time}`)
  console.log(`  hash         ${hash}`)
  console.log(`  allocations  ${allocations}, ${allocatedTokens} tokens in all`)
  console.log(
    `  committee    ${members === 0 ? 'none: one validator orders alone' : `${members} members, coin ${coin}`}`,
  )
  console.log(`  TEE workers  ${attestation}`)
}

function onlyFile(positionals: readonly string[]): string {
  if (positionals.length !== 1) throw new UsageError('name one file')
  return positionals[0]!
}

export const genesis = command({
  name: 'genesis',
  summary: 'Writes the first state of a new network: rules, time, allocations, committee.',
  positionals: 'FILE',
  about:
    'The file is checked before it is written, and its hash shown: all nodes of a network start from the same file. Lines of the\nallocation table are "address, tokens"; what follows a # is for people. The committee is JSON as in a genesis file: members with\ntheir keys and proofs, and the coin. Without one, a single validator orders.',
  settings: {
    preset: {
      kind: 'text',
      help: 'rules of the network',
      default: 'dev',
      choices: ['mainnet', 'dev', 'minimal'],
    },
    time: { kind: 'text', help: 'when consensus time begins, such as 2026-12-01T00:00:00Z; default: now' },
    allocations: { kind: 'text', help: 'file with who has what in the beginning' },
    committee: { kind: 'text', help: 'file with who orders' },
    simulatedAttestation: {
      kind: 'flag',
      help: 'TEE workers may say that they have a TEE without showing it; not with the rules of mainnet',
      default: false,
    },
    measurements: { kind: 'list', help: 'programs that TEE workers may run, each 32 bytes in hex' },
    force: { kind: 'flag', help: 'replace the file if there is one', default: false },
    json: { kind: 'flag', help: 'print JSON', default: false },
  },
  examples: [
    'cumulus genesis genesis.json --preset dev --allocations tokens.csv',
    'cumulus genesis genesis.json --preset mainnet --committee committee.json --time 2026-12-01T00:00:00Z',
  ],
  async run({ settings, positionals }) {
    const path = onlyFile(positionals)
    const timeMs = settings.time === undefined ? Date.now() : Date.parse(settings.time)
    if (Number.isNaN(timeMs)) {
      throw new CliError('BAD_TIME', `"${settings.time}" is no time`, 'A time is such as 2026-12-01T00:00:00Z.')
    }
    const isThere = await access(path).then(
      () => true,
      () => false,
    )
    if (isThere && !settings.force) {
      throw new CliError(
        'FILE_EXISTS',
        `${path} is there already`,
        'Nodes that started from it need it; --force replaces it.',
      )
    }
    const { simulatedAttestation, measurements } = settings
    const hasAttestation = simulatedAttestation || measurements !== undefined
    const made = createGenesis({
      preset: settings.preset as PresetName,
      timeMs,
      allocations: settings.allocations === undefined ? [] : await readAllocationTable(settings.allocations),
      ...(settings.committee !== undefined && { committee: await readCommittee(settings.committee) }),
      ...(hasAttestation && {
        attestation: { simulated: simulatedAttestation, measurements: (measurements ?? []) as `0x${string}`[] },
      }),
    })
    // What a ledger would refuse is not written.
    const summary = await summaryOf(path, made)
    await writeGenesis(path, made)
    show(summary, settings.json)
    return 0
  },
})

export const genesisCheck = command({
  name: 'genesis check',
  summary: 'Checks a genesis file, and shows what network it begins.',
  positionals: 'FILE',
  settings: { json: { kind: 'flag', help: 'print JSON', default: false } },
  examples: ['cumulus genesis check genesis.json'],
  async run({ settings, positionals }) {
    const path = onlyFile(positionals)
    show(await summaryOf(path, await readGenesis(path)), settings.json)
    return 0
  },
})

/** What it holds is checked with the whole. */
async function readCommittee(path: string): Promise<GenesisCommittee> {
  let value: unknown
  try {
    value = await readJsonFile(path)
  } catch (cause) {
    throw new CliError('BAD_COMMITTEE', `${path} cannot be read`, 'It must be JSON.', { cause })
  }
  if (value === undefined) throw new CliError('NO_COMMITTEE', `there is no ${path}`, 'Name a file with --committee.')
  return value as GenesisCommittee
}
