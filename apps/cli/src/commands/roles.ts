import type { GatewayConfig } from '@cumulus/gateway'
import { preset } from '@cumulus/params'
import { type RoleContext, readSettings, type Settings, type SettingsSpec } from '@cumulus/service'
import type { ValidatorConfig } from '@cumulus/validator'
import { parseTokens } from '../chain-access.ts'
import { CliError, command } from '../command.ts'
import { readPlan } from '../local-plan.ts'
import { NetworkFolder } from '../network-folder.ts'
import { addressOf, optionalAddress, readKeyFile } from '../plan.ts'
import { gatewaySettings, minerSettings, teeWorkerSettings, validatorSettings } from '../role-settings.ts'
import { type RoleStarter, runRole } from '../run-role.ts'

// Role packages are loaded when their role runs: a miner has no use for the EVM.

export const validator = command({
  name: 'validator',
  summary: 'Runs a validator: orders transactions, executes chain blocks, serves RPC.',
  about: [
    'Where the genesis names a committee, it takes the seat whose keys lie in its folder: peer.key, bls.key and, unless the',
    'coin is public, coin.key. A key must never be used by two processes: members that speak with two tongues are found out.',
    'Without a committee one validator orders alone.',
  ].join('\n'),
  settings: validatorSettings,
  examples: ['cumulus validator --dir /var/lib/cumulus --genesis genesis.json --key-file validator.key'],
  run: ({ settings, signal }) =>
    runRole({ name: 'validator', role: 'validator', ...settings, signal }, validatorStarter(settings)),
})

export const miner = command({
  name: 'miner',
  summary: 'Runs a miner: keeps fragments for pay.',
  about: [
    'Registers on chain with stake from its account, then serves every gateway of the register. It dials them: no',
    'port need be open. Space is declared, and unproven until proofs of idle space exist.',
    '',
    'What it keeps earns once a TEE worker has tagged it and its proofs pass. While it runs:',
    '  cumulus miner status        how it stands, what is wrong, and what to do',
    '  cumulus miner reward        what it has earned: free, coming free, paid',
    '  cumulus miner claim         pays what is free to its beneficiary',
    '  cumulus miner beneficiary   shows or changes who that is',
    '  cumulus miner stake         adds to its stake, or pays its debts',
    '  cumulus miner space         shows or changes the space it declares',
  ].join('\n'),
  settings: minerSettings,
  examples: [
    'cumulus miner --dir /data/miner --space 1TiB --key-file miner.key --rpc http://127.0.0.1:8545 --preset dev',
  ],
  run: ({ settings, signal }) => runRole({ name: 'miner', role: 'miner', ...settings, signal }, minerStarter(settings)),
})

export const teeWorker = command({
  name: 'tee-worker',
  summary: 'Runs a TEE worker: tags what is stored, so that miners can prove it.',
  about: [
    'Makes a tagger key that never leaves this process, registers it on chain with proof of the enclave it runs in, and',
    'tags every segment that the certified chain commits in its groups. Where the genesis names a committee, it believes no',
    'RPC node: each root is proven by a certificate. Where no hardware vouches for it, its attestation is simulated:',
    'accepted only by networks whose genesis says so. To change the key, see "cumulus tee-worker rotate".',
  ].join('\n'),
  settings: teeWorkerSettings,
  examples: [
    'cumulus tee-worker --dir /data/tee --genesis genesis.json --key-file tee.key --data-host 203.0.113.7 --data-port 4100 --collateral-file c.json',
    'cumulus tee-worker --dir tee --key-file tee.key --preset dev --attestation simulated',
  ],
  run: ({ settings, signal }) =>
    runRole({ name: 'tee-worker', role: 'tee-worker', ...settings, signal }, teeWorkerStarter(settings)),
})

export const gateway = command({
  name: 'gateway',
  summary: 'Runs a gateway: S3 in front, the network behind.',
  about:
    'Registers on chain, listens for miners and serves the users of its users file, which is read again whenever it changes.',
  settings: gatewaySettings,
  examples: ['cumulus gateway --dir /var/lib/gateway --key-file gateway.key --users-file users.json --preset dev'],
  run: ({ settings, signal }) =>
    runRole({ name: 'gateway', role: 'gateway', ...settings, signal }, gatewayStarter(settings)),
})

/** The roles of a local network made with `up --lite`, from the settings files that separate processes would read. */
export const lite = command({
  name: 'lite',
  summary: 'Runs all roles of a local network in one process.',
  hidden: true,
  settings: { dir: { kind: 'text', help: 'folder of the local network', default: '.cumulus' } },
  async run({ settings, signal }) {
    const folder = new NetworkFolder(settings.dir)
    const plan = await readPlan(folder)
    if (!plan)
      throw new CliError('NO_NETWORK', `there is no network in ${folder.path}`, 'Make one with "cumulus up --lite".')
    // One that dies takes the others along: half a process is no process.
    const failure = new AbortController()
    const all = AbortSignal.any([signal, failure.signal])
    const roles = plan.processes.map(async ({ role, name }) => {
      const read = <Spec extends SettingsSpec>(spec: Spec) =>
        readSettings(spec, { flags: {}, env: {}, file: folder.configFile(name) })
      const start = () => {
        switch (role) {
          case 'validator':
            return { own: read(validatorSettings), starter: validatorStarter(read(validatorSettings)) }
          case 'miner':
            return { own: read(minerSettings), starter: minerStarter(read(minerSettings)) }
          case 'tee-worker':
            return { own: read(teeWorkerSettings), starter: teeWorkerStarter(read(teeWorkerSettings)) }
          default:
            return { own: read(gatewaySettings), starter: gatewayStarter(read(gatewaySettings)) }
        }
      }
      const { own, starter } = start()
      try {
        await runRole({ name, role, ...own, signal: all }, starter)
      } finally {
        failure.abort()
      }
    })
    const failed = (await Promise.allSettled(roles)).find((result) => result.status === 'rejected')
    if (failed) throw failed.reason
    return 0
  },
})

/** What a validator is started with, as far as the settings say it. */
export function validatorConfigOf(settings: Settings<typeof validatorSettings>): ValidatorConfig {
  const { dir, genesis, libp2pHost, libp2pPort, bootstrap, roundMsMin } = settings
  return {
    dir,
    genesis,
    rpc: { host: settings.rpcHost, port: settings.rpcPort, verifySources: settings.verifySources },
    peer: peerOf(settings),
    gossip: libp2pPort === undefined ? undefined : { host: libp2pHost, port: libp2pPort, bootstrap },
    snapshots: { make: settings.keepSnapshots },
    history: { blocks: settings.historyBlocks, bytes: settings.historyBytes },
    ...(roundMsMin !== undefined && { pace: { minRoundMs: roundMsMin } }),
  }
}

function validatorStarter(settings: Settings<typeof validatorSettings>): RoleStarter {
  return async (context) => {
    const { startValidator } = await import('@cumulus/validator')
    const coinbase = settings.keyFile === undefined ? undefined : addressOf(await readKeyFile(settings.keyFile))
    const role = await startValidator({ ...validatorConfigOf(settings), coinbase }, context)
    // Who has no account has no vote, either.
    if (settings.keyFile !== undefined)
      void voteOnAttestations(settings, role.ports['rpc'] ?? settings.rpcPort, context)
    return role
  }
}

/** Has a member of the committee vote on the quotes of TEE workers, through its own node. Never rejects. */
async function voteOnAttestations(
  settings: Settings<typeof validatorSettings>,
  rpcPort: number,
  { log, signal }: RoleContext,
): Promise<void> {
  try {
    const [{ ChainClient }, { runAttestationVoter }] = await Promise.all([
      import('@cumulus/chain'),
      import('@cumulus/tee'),
    ])
    const host = settings.rpcHost === '0.0.0.0' ? '127.0.0.1' : settings.rpcHost
    const chain = await ChainClient.connect({
      urls: [`http://${host}:${rpcPort}`],
      privateKey: await readKeyFile(settings.keyFile),
      params: preset(settings.preset),
      log,
      signal,
    })
    await runAttestationVoter({ chain, log, signal })
  } catch (error) {
    if (!signal.aborted) log.error('attestations of TEE workers are not voted on', { error })
  }
}

function peerOf({ peerHost, peerPort }: Settings<typeof validatorSettings>) {
  if (peerHost === undefined && peerPort === undefined) return undefined
  if (peerHost === undefined || peerPort === undefined) {
    throw new CliError(
      'BAD_SETTING',
      '--peer-host and --peer-port go together',
      'Give both, or neither: then the address that the genesis names is used.',
    )
  }
  return { host: peerHost, port: peerPort }
}

function minerStarter(settings: Settings<typeof minerSettings>): RoleStarter {
  return async (context) => {
    const { startMiner } = await import('@cumulus/miner')
    return startMiner(
      {
        folder: settings.dir,
        params: preset(settings.preset),
        rpc: settings.rpc,
        privateKey: await readKeyFile(settings.keyFile),
        spaceBytes: settings.space,
        beneficiary: optionalAddress('beneficiary', settings.beneficiary),
        region: settings.region,
        topUpMax: parseTokens(settings.topUpMax),
      },
      context,
    )
  }
}

function teeWorkerStarter(settings: Settings<typeof teeWorkerSettings>): RoleStarter {
  return async (context) => {
    const { startTeeWorker } = await import('@cumulus/tee-worker')
    return startTeeWorker(
      {
        folder: settings.dir,
        params: preset(settings.preset),
        rpc: settings.rpc,
        genesis: settings.genesis,
        privateKey: await readKeyFile(settings.keyFile),
        data: { host: settings.dataHost, port: settings.dataPort },
        mode: settings.mode as 'full' | 'marker' | 'verifier',
        attestation: settings.attestation as 'sgx' | 'tdx' | 'simulated',
        candidate: optionalAddress('candidate', settings.candidate),
        collateralFile: settings.collateralFile,
        sealKeyFile: settings.sealKeyFile,
        tuning: { threads: settings.threads || undefined },
      },
      context,
    )
  }
}

export function gatewayConfig(settings: Settings<typeof gatewaySettings>, privateKey: Uint8Array): GatewayConfig {
  return {
    folder: settings.dir,
    params: preset(settings.preset),
    rpc: settings.rpc,
    privateKey,
    s3: { host: settings.s3Host, port: settings.s3Port, region: settings.region },
    data: { host: settings.dataHost, port: settings.dataPort },
    usersFile: settings.usersFile,
    storageClass: settings.storageClass as 'standard' | 'light',
  }
}

function gatewayStarter(settings: Settings<typeof gatewaySettings>): RoleStarter {
  return async (context) => {
    const { startGateway } = await import('@cumulus/gateway')
    return startGateway(gatewayConfig(settings, await readKeyFile(settings.keyFile)), context)
  }
}
