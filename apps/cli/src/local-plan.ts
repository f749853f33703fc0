import { createGenesis, writeGenesis } from '@cumulus/execution'
import { preset } from '@cumulus/params'
import { readJsonFile, writeFileAtomic } from '@cumulus/service'
import { stringify } from 'yaml'
import type { NetworkFolder, NetworkProcess, NetworkUser } from './network-folder.ts'
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

export async function readPlan(folder: NetworkFolder): Promise<LocalPlan | undefined> {
  return (await readJsonFile(folder.planFile)) as LocalPlan | undefined
}

export async function writePlan(folder: NetworkFolder, plan: LocalPlan): Promise<void> {
  await writeFileAtomic(folder.planFile, `${JSON.stringify(plan, null, 2)}\n`, { mode: 0o600 })
}

/** Keys, ports, genesis and settings of a new network. The plan is written last: without it, nothing was made. */
export async function createLocalNetwork(
  folder: NetworkFolder,
  init: { miners: number; space: number; lite: boolean; s3Port: number; rpcPort: number },
): Promise<LocalPlan> {
  const rules = preset('dev')
  const taken = new Set<number>()
  const port = (preferred = 0) => choosePort(preferred, taken)
  const rpcPort = await port(init.rpcPort)
  const s3Port = await port(init.s3Port)
  const rpc = { http: `http://127.0.0.1:${rpcPort}`, ws: `ws://127.0.0.1:${rpcPort}` }

  const accounts = Array.from({ length: DEVELOPMENT_ACCOUNTS }, newAccount)
  const owners = { main: newAccount(), alt: newAccount() }
  const processes: NetworkProcess[] = []
  const funded: HeldAccount[] = [...accounts, ...Object.values(owners)]

  const add = async (
    role: 'validator' | 'miner' | 'gateway',
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

  await add('validator', 'validator-1', { rpc: rpcPort, admin: await port() }, { genesis: folder.genesisFile, rpcPort })
  for (let i = 1; i <= init.miners; i++) {
    await add(
      'miner',
      `miner-${String(i).padStart(2, '0')}`,
      { admin: await port() },
      { rpc: [rpc.http], space: init.space, region: 'local' },
    )
  }
  const dataPort = await port()
  const gateway = await add(
    'gateway',
    'gateway-1',
    { s3: s3Port, data: dataPort, admin: await port() },
    {
      rpc: [rpc.http],
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
  })
  await writeGenesis(folder.genesisFile, genesis)

  const plan: LocalPlan = {
    version: 1,
    preset: rules.name,
    chainId: rules.chainId,
    createdMs: Date.now(),
    lite: init.lite,
    s3: { endpoint: `http://127.0.0.1:${s3Port}`, region: REGION },
    rpc,
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
