import { createDevelopmentCommittee, createGenesis, writeGenesis, writeMemberKeys } from '@cumulus/execution'
import { type PresetName, preset } from '@cumulus/params'
import { readJsonFile, writeFileAtomic } from '@cumulus/service'
import type { Address } from '@cumulus/types'
import { stringify } from 'yaml'
import { CliError } from './command.ts'
import type { NetworkFolder, NetworkProcess, NetworkUser, NetworkValidator } from './network-folder.ts'
import { classFor, type HeldAccount, newAccount, writeKeyFile } from './plan.ts'
import { choosePort, selfCommand } from './processes.ts'

/** All of a local network that is decided before its first process starts. Kept in `config/plan.json`. */
export interface LocalPlan {
  readonly version: 1
  readonly preset: string
  readonly chainId: number
  readonly createdMs: number
  readonly lite: boolean
  readonly s3: { readonly endpoint: string; readonly region: string }
  readonly rpc: { readonly http: string; readonly ws: string }
  readonly validators: readonly NetworkValidator[]
  readonly users: readonly Pick<NetworkUser, 'name' | 'id' | 'email' | 'owner' | 'ownerKey'>[]
  readonly gatewayAccount: string
  /** Logical bytes that each user's territory gets. */
  readonly territoryBytes: number
  readonly accounts: readonly HeldAccount[]
  readonly processes: readonly NetworkProcess[]
}

const TOKEN = 10n ** 18n
const DEVELOPMENT_ACCOUNTS = 10
const REGION = 'us-east-1'

/** @throws CliError OLD_NETWORK */
export async function readPlan(folder: NetworkFolder): Promise<LocalPlan | undefined> {
  const plan = (await readJsonFile(folder.planFile)) as LocalPlan | undefined
  if (plan && plan.validators === undefined) {
    throw new CliError(
      'OLD_NETWORK',
      `${folder.path} holds a network of an older version of cumulus, whose chain this one cannot continue`,
      'Choose another folder with --dir, or stop it ("cumulus down") and remove this one.',
    )
  }
  return plan
}

export async function writePlan(folder: NetworkFolder, plan: LocalPlan): Promise<void> {
  await writeFileAtomic(folder.planFile, `${JSON.stringify(plan, null, 2)}\n`, { mode: 0o600 })
}

/** Keys, ports, genesis and settings of a new network. The plan is written last: without it, nothing was made. */
export async function createLocalNetwork(
  folder: NetworkFolder,
  init: {
    validators: number
    miners: number
    space: number
    lite: boolean
    s3Port: number
    rpcPort: number
    preset: PresetName
  },
): Promise<LocalPlan> {
  const rules = preset(init.preset)
  const taken = new Set<number>()
  const port = (preferred = 0) => choosePort(preferred, taken)
  const rpcPorts = [await port(init.rpcPort)]
  const s3Port = await port(init.s3Port)
  while (rpcPorts.length < init.validators) rpcPorts.push(await port())
  const rpcUrls = rpcPorts.map((rpcPort) => `http://127.0.0.1:${rpcPort}`)

  const accounts = Array.from({ length: DEVELOPMENT_ACCOUNTS }, newAccount)
  const owners = { main: newAccount(), alt: newAccount() }
  const processes: NetworkProcess[] = []
  const funded: HeldAccount[] = [...accounts, ...Object.values(owners)]

  const add = async (
    role: 'validator' | 'miner' | 'tee-worker' | 'gateway',
    name: string,
    ports: Record<string, number>,
    settings: Record<string, unknown>,
  ) => {
    const account = newAccount()
    funded.push(account)
    await writeKeyFile(folder.keyFile(name), account)
    const all = {
      dir: folder.stateOf(name),
      preset: rules.name,
      keyFile: folder.keyFile(name),
      adminPort: ports['admin'],
      ...settings,
    }
    await writeFileAtomic(folder.configFile(name), stringify(all))
    const command = init.lite
      ? selfCommand('lite', '--dir', folder.path)
      : selfCommand(role, '--config', folder.configFile(name))
    processes.push({ role, name, pid: 0, dir: folder.stateOf(name), command, ports })
    return account
  }

  const validators: NetworkValidator[] = []
  for (const [index, rpcPort] of rpcPorts.entries()) {
    const name = `validator-${index + 1}`
    // One alone has nobody to talk to.
    const peerPort = init.validators > 1 ? await port() : undefined
    const account = await add(
      'validator',
      name,
      { rpc: rpcPort, ...(peerPort && { peer: peerPort }), admin: await port() },
      {
        genesis: folder.genesisFile,
        rpcPort,
        verifySources: true,
        ...(peerPort && { peerHost: '127.0.0.1', peerPort }),
      },
    )
    validators.push({
      name,
      account: account.address.toLowerCase(),
      http: `http://127.0.0.1:${rpcPort}`,
      ws: `ws://127.0.0.1:${rpcPort}`,
      ...(peerPort && { address: `/ip4/127.0.0.1/tcp/${peerPort}` }),
    })
  }
  for (let i = 1; i <= init.miners; i++) {
    await add(
      'miner',
      `miner-${String(i).padStart(2, '0')}`,
      { admin: await port() },
      // Each begins with another validator, so that all have their share of the questions.
      { rpc: rotated(rpcUrls, i), space: init.space, region: 'local', topUpMax: '1000' },
    )
  }
  const teeWorkerPort = await port()
  await add(
    'tee-worker',
    'tee-worker-1',
    { data: teeWorkerPort, admin: await port() },
    {
      genesis: folder.genesisFile,
      rpc: rpcUrls,
      dataPort: teeWorkerPort,
      // Said wherever it is shown: nothing but file permissions protects this key.
      attestation: 'simulated',
      candidate: validators[0]!.account,
    },
  )
  const dataPort = await port()
  const gateway = await add(
    'gateway',
    'gateway-1',
    { s3: s3Port, data: dataPort, admin: await port() },
    {
      rpc: rpcUrls,
      s3Port,
      dataPort,
      usersFile: folder.usersFile,
      region: REGION,
      storageClass: classFor(init.miners),
    },
  )

  const genesis = createGenesis({
    preset: rules.name,
    timeMs: Date.now(),
    allocations: funded.map((account) => ({ address: account.address, balance: 1_000_000n * TOKEN })),
    committee: await createCommittee(folder, validators),
    attestation: { simulated: true, measurements: [] },
  })
  await writeGenesis(folder.genesisFile, genesis)

  const plan: LocalPlan = {
    version: 1,
    preset: rules.name,
    chainId: rules.chainId,
    createdMs: Date.now(),
    lite: init.lite,
    s3: { endpoint: `http://127.0.0.1:${s3Port}`, region: REGION },
    rpc: { http: validators[0]!.http, ws: validators[0]!.ws },
    validators,
    users: Object.entries(owners).map(([name, account]) => ({
      name,
      id: account.address.toLowerCase(),
      email: `${name}@cumulus.local`,
      owner: account.address.toLowerCase(),
      ownerKey: account.privateKey,
    })),
    gatewayAccount: gateway.address,
    // More than the miners can hold: on a local network the disk is the limit, not the rent.
    territoryBytes: init.miners * init.space,
    accounts,
    processes,
  }
  await writePlan(folder, plan)
  return plan
}

/** Keys for all members, each into its folder. Undefined for one validator, who needs nobody's consent. */
async function createCommittee(folder: NetworkFolder, validators: readonly NetworkValidator[]) {
  if (validators.length < 2) return undefined
  const { committee, keys } = createDevelopmentCommittee(
    validators.map(({ account, address }) => ({ account: account as Address, address: address! })),
  )
  for (const [index, { name }] of validators.entries()) {
    await writeMemberKeys(folder.stateOf(name), keys[index]!, { areNew: true })
  }
  return committee
}

function rotated<Item>(items: readonly Item[], by: number): Item[] {
  return items.map((_, index) => items[(index + by) % items.length]!)
}
