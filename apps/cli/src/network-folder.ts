import { join, resolve } from 'node:path'
import { readJsonFile, writeFileAtomic } from '@cumulus/service'
import { CliError } from './command.ts'

/**
 * The folder of a local network:
 *
 *     network.json     what runs, with which keys and ports (0600: it holds private keys)
 *     genesis.json     rules and first balances of the chain
 *     config/NAME.yaml settings of each process
 *     keys/NAME.key    chain account of each process, 0600
 *     keys/users.json  S3 users as the gateway reads them, 0600
 *     NAME/            state of each process: its own to write
 *     logs/NAME.log    JSON lines
 */
export interface NetworkFile {
  readonly version: 1
  readonly preset: string
  readonly chainId: number
  readonly createdMs: number
  readonly s3: { readonly endpoint: string; readonly region: string; readonly users: readonly NetworkUser[] }
  /** Of the first validator. */
  readonly rpc: { readonly http: string; readonly ws: string }
  /** In the order of the committee; one alone is no committee. */
  readonly validators: readonly NetworkValidator[]
  /** Funded for development. Never use their keys where money is real. */
  readonly accounts: readonly { readonly address: string; readonly privateKey: string }[]
  readonly processes: readonly NetworkProcess[]
}

export interface NetworkUser {
  readonly name: string
  readonly id: string
  readonly email: string
  readonly accessKey: string
  readonly secretKey: string
  /** Address that owns the user's territory, and its private key: all that `gateway recover` needs. */
  readonly owner: string
  readonly ownerKey: string
  readonly territory: string
}

export interface NetworkValidator {
  readonly name: string
  readonly account: string
  /** JSON-RPC over HTTP and WebSocket. */
  readonly http: string
  readonly ws: string
  /** Multiaddress where the other members and full nodes reach it. */
  readonly address?: string
}

export type RoleName = 'validator' | 'miner' | 'tee-worker' | 'gateway' | 'lite'

export interface NetworkProcess {
  readonly role: RoleName
  readonly name: string
  readonly pid: number
  /** State of the process. */
  readonly dir: string
  /** What started it: run it again to start it again. */
  readonly command: readonly string[]
  readonly ports: Readonly<Record<string, number>>
}

export class NetworkFolder {
  readonly path: string

  constructor(path: string) {
    this.path = resolve(path)
  }

  get networkFile(): string {
    return join(this.path, 'network.json')
  }

  /** What `up` has decided, with the pids of what it has started: see local-plan.ts. */
  get planFile(): string {
    return join(this.path, 'config', 'plan.json')
  }

  get genesisFile(): string {
    return join(this.path, 'genesis.json')
  }

  get usersFile(): string {
    return join(this.path, 'keys', 'users.json')
  }

  configFile(name: string): string {
    return join(this.path, 'config', `${name}.yaml`)
  }

  keyFile(name: string): string {
    return join(this.path, 'keys', `${name}.key`)
  }

  stateOf(name: string): string {
    return join(this.path, name)
  }

  logFile(name: string): string {
    return join(this.path, 'logs', `${name}.log`)
  }

  /** undefined if no network was ever made here. */
  async find(): Promise<NetworkFile | undefined> {
    const file = (await readJsonFile(this.networkFile)) as NetworkFile | undefined
    if (
      file !== undefined &&
      (typeof file !== 'object' || file === null || file.version !== 1 || !Array.isArray(file.processes))
    ) {
      throw new CliError(
        'NETWORK_FILE_MALFORMED',
        `${this.networkFile} is not a network of this version of cumulus`,
        'Choose another folder with --dir, or remove this one.',
      )
    }
    return file
  }

  /** What was started, also if the network never became ready. @throws CliError NO_NETWORK */
  async readProcesses(): Promise<readonly NetworkProcess[]> {
    const plan = (await readJsonFile(this.planFile)) as Pick<NetworkFile, 'processes'> | undefined
    return plan?.processes ?? (await this.read()).processes
  }

  /** @throws CliError NO_NETWORK */
  async read(): Promise<NetworkFile> {
    const file = await this.find()
    if (file) return file
    throw new CliError(
      'NO_NETWORK',
      `there is no network in ${this.path}`,
      'Start one with "cumulus up", or name its folder with --dir.',
    )
  }

  /** Notes that a process has been started again, here and in the plan. */
  async setPid(name: string, pid: number): Promise<void> {
    for (const path of [this.networkFile, this.planFile]) {
      const file = (await readJsonFile(path)) as Pick<NetworkFile, 'processes'> | undefined
      if (!file) continue
      const processes = file.processes.map((entry) => (entry.name === name ? { ...entry, pid } : entry))
      await writeFileAtomic(path, `${JSON.stringify({ ...file, processes }, null, 2)}\n`, { mode: 0o600 })
    }
  }

  async write(file: NetworkFile): Promise<void> {
    await writeFileAtomic(this.networkFile, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 })
  }
}
