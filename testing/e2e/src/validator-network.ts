import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { selfCommand } from '@cumulus/cli'
import {
  createDevelopmentCommittee,
  createGenesis,
  type GenesisFile,
  writeGenesis,
  writeMemberKeys,
} from '@cumulus/execution'
import type { Address } from '@cumulus/types'
import { type Hex, toHex } from 'viem'
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { type SlowLine, SlowProxy } from './slow-proxy.ts'

const TOKEN = 10n ** 18n
const FUNDED_ACCOUNTS = 8

interface ValidatorNetworkInit {
  /** One orders alone, without a committee. */
  readonly size?: number
  /** Long or bad lines between members: each is dialled through one. */
  readonly proxies?: SlowLine
  readonly seed?: string
  /** Seats whose processes do not run at first. */
  readonly absent?: readonly number[]
}

/** One member, or a full node, as a process of its own, started by the command line, seen through its ports. */
export class ValidatorProcess {
  readonly name: string
  readonly #role: 'validator' | 'node'
  readonly dir: string
  readonly url: string
  readonly #args: readonly string[]
  readonly #logFile: string
  #child: ChildProcess | undefined

  constructor(init: {
    name: string
    role?: 'validator' | 'node'
    dir: string
    logFile: string
    rpcPort: number
    args: readonly string[]
  }) {
    this.name = init.name
    this.#role = init.role ?? 'validator'
    this.dir = init.dir
    this.url = `http://127.0.0.1:${init.rpcPort}`
    this.#args = init.args
    this.#logFile = init.logFile
  }

  get pid(): number {
    return this.#child!.pid!
  }

  async start(): Promise<void> {
    const log = await open(this.#logFile, 'a')
    const [command, ...args] = selfCommand(this.#role, ...this.#args)
    this.#child = spawn(command!, args, { stdio: ['ignore', log.fd, log.fd], cwd: this.dir })
    await once(this.#child, 'spawn')
    await log.close()
  }

  /** SIGKILL, and waits until it is gone. */
  async kill(): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child!.kill(signal)
  }

  /** Undefined if it does not answer. */
  async ask<Result>(method: string, ...params: readonly unknown[]): Promise<Result | undefined> {
    try {
      return await this.request<Result>(method, ...params)
    } catch {
      return undefined
    }
  }

  /** Throws if it does not answer, or answers with an error. */
  async request<Result>(method: string, ...params: readonly unknown[]): Promise<Result> {
    const response = await fetch(this.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
      signal: AbortSignal.timeout(10_000),
    })
    const answer = (await response.json()) as { result?: Result; error?: { message: string } }
    if (answer.error) throw new Error(answer.error.message)
    return answer.result as Result
  }

  async height(tag: 'latest' | 'finalized' = 'latest'): Promise<number> {
    const block = await this.ask<{ number: Hex } | null>('eth_getBlockByNumber', tag, false)
    return block ? Number(block.number) : -1
  }

  /** What it says of the order. */
  async order(): Promise<OrderStatus | undefined> {
    return (await this.ask<OrderStatus | null>('cumulus_consensusStatus')) ?? undefined
  }
}

export interface OrderStatus {
  readonly round: number
  readonly decidedRound: number
  /** Whether it takes blocks from the others before it can join them. */
  readonly isBehind?: boolean
  readonly certifiedHeight: string
  readonly silencedAtRound?: number
  readonly evidence: readonly EvidenceRecord[]
  readonly commitMs?: { readonly p50: number; readonly p99: number; readonly count: number }
  /** Where the time of transactions goes, as `stage-times.ts` of the validator tells. */
  readonly stagesMs?: Readonly<Record<string, { readonly p50: number; readonly p99: number; readonly count: number }>>
}

export interface EvidenceRecord {
  readonly kind: string
  readonly member: number
  /** Round or height. */
  readonly place: string
  readonly proof: Readonly<Record<string, string>>
}

/** A committee of processes without miners and gateways, on the smallest parameters. */
export class ValidatorNetwork {
  readonly dir: string
  readonly genesis: GenesisFile
  readonly validators: readonly ValidatorProcess[]
  readonly proxies: readonly SlowProxy[]
  readonly accounts: readonly PrivateKeyAccount[]
  /** Processes made later: they end with the network. */
  readonly #others: ValidatorProcess[] = []

  private constructor(
    dir: string,
    genesis: GenesisFile,
    validators: readonly ValidatorProcess[],
    proxies: readonly SlowProxy[],
    accounts: readonly PrivateKeyAccount[],
  ) {
    this.dir = dir
    this.genesis = genesis
    this.validators = validators
    this.proxies = proxies
    this.accounts = accounts
  }

  static async start({
    size = 4,
    proxies: lines,
    seed = 'lines',
    absent = [],
  }: ValidatorNetworkInit = {}): Promise<ValidatorNetwork> {
    const dir = await mkdtemp(join(tmpdir(), 'cumulus-validators-'))
    const ports = await freePorts(2 * size)
    const [rpcPorts, peerPorts] = [ports.slice(0, size), ports.slice(size)]
    const proxies = lines
      ? await Promise.all(
          peerPorts.map((targetPort, i) => SlowProxy.start({ targetPort, seed: `${seed} ${i}`, ...lines })),
        )
      : []
    const accounts = Array.from({ length: FUNDED_ACCOUNTS }, () => privateKeyToAccount(generatePrivateKey()))
    const { committee, keys } = createDevelopmentCommittee(
      peerPorts.map((port, i) => ({
        account: privateKeyToAccount(generatePrivateKey()).address.toLowerCase() as Address,
        address: `/ip4/127.0.0.1/tcp/${proxies[i]?.port ?? port}`,
      })),
    )
    const genesis = createGenesis({
      preset: 'minimal',
      timeMs: Date.now(),
      allocations: accounts.map(({ address }) => ({ address, balance: 1_000_000n * TOKEN })),
      committee: size > 1 ? committee : undefined,
    })
    await writeGenesis(join(dir, 'genesis.json'), genesis)
    const validators = rpcPorts.map((rpcPort, i) => processOf(dir, `validator-${i + 1}`, rpcPort, peerPorts[i]!))
    for (const [i, validator] of validators.entries()) {
      await mkdir(validator.dir)
      await writeMemberKeys(validator.dir, keys[i]!, { areNew: true })
    }
    const network = new ValidatorNetwork(dir, genesis, validators, proxies, accounts)
    try {
      const present = validators.filter((_, seat) => !absent.includes(seat))
      await Promise.all(present.map((validator) => validator.start()))
      await network.until('all answer', 60, async () =>
        (await Promise.all(present.map((validator) => validator.height()))).every((height) => height >= 0),
      )
    } catch (error) {
      await network.remove()
      throw error
    }
    return network
  }

  /** A second process with the keys of a member, in a folder of its own: what no honest operator does. */
  async startTwin(of: number): Promise<ValidatorProcess> {
    const [rpcPort, peerPort] = await freePorts(2)
    const twin = processOf(this.dir, `twin-${of + 1}`, rpcPort!, peerPort!)
    await mkdir(twin.dir)
    for (const name of ['peer.key', 'bls.key', 'coin.key']) {
      await cp(join(this.validators[of]!.dir, name), join(twin.dir, name))
    }
    this.#others.push(twin)
    await twin.start()
    return twin
  }

  /** A full node with nothing but the genesis file. */
  async startFullNode(): Promise<ValidatorProcess> {
    const [rpcPort] = await freePorts(1)
    const name = `node-${this.#others.length + 1}`
    const dir = join(this.dir, name)
    await mkdir(dir)
    const args = ['--dir', dir, '--genesis', join(this.dir, 'genesis.json'), '--rpc-port', `${rpcPort}`]
    args.push('--no-listen', '--no-libp2p')
    const logFile = join(this.dir, `${name}.log`)
    const node = new ValidatorProcess({ name, role: 'node', dir, logFile, rpcPort: rpcPort!, args })
    this.#others.push(node)
    await node.start()
    return node
  }

  /** Polls until `done` is true; throws after `seconds`. Not a measurement, a limit. */
  async until(what: string, seconds: number, done: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + seconds * 1000
    while (!(await done())) {
      if (performance.now() > deadline) throw new Error(`not within ${seconds} s: ${what}\n${await this.tailOfLogs()}`)
      await sleep(100)
    }
  }

  async tailOfLogs(): Promise<string> {
    const parts = await Promise.all(
      [...this.validators, ...this.#others].map(async (validator) => {
        const { name } = validator
        const text = await readFile(join(this.dir, `${name}.log`), 'utf8').catch(() => '')
        const lines = text.split('\n').filter((line) => /"level":"(warn|error)"/.test(line) || !line.startsWith('{'))
        return `${name}: ${lines.slice(-6).join('\n')}\n${await this.#places(validator)}`
      }),
    )
    return parts.join('\n')
  }

  async #places(validator: ValidatorProcess): Promise<string> {
    const [latest, finalized, order] = await Promise.all([
      validator.height(),
      validator.height('finalized'),
      validator.order(),
    ])
    return `${validator.name} at block ${latest}, certified ${finalized}, ${JSON.stringify(order)?.slice(0, 900)}`
  }

  async remove(): Promise<void> {
    await Promise.all([...this.validators, ...this.#others].map((validator) => validator.kill()))
    await Promise.all(this.proxies.map((proxy) => proxy.close()))
    await rm(this.dir, { recursive: true, force: true, maxRetries: 5 })
  }
}

function processOf(dir: string, name: string, rpcPort: number, peerPort: number): ValidatorProcess {
  const own = join(dir, name)
  const args = ['--dir', own, '--genesis', join(dir, 'genesis.json'), '--rpc-port', `${rpcPort}`]
  args.push('--peer-host', '127.0.0.1', '--peer-port', `${peerPort}`)
  return new ValidatorProcess({ name, dir: own, logFile: join(dir, `${name}.log`), rpcPort, args })
}

/** Ports that are free now, all different: addresses stand in the genesis before anybody listens. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** All block hashes from 1 to `height`, as a validator has them. */
export async function hashesOf(validator: ValidatorProcess, height: number): Promise<string[]> {
  const hashes: string[] = []
  for (let start = 1; start <= height; start += 50) {
    const body = Array.from({ length: Math.min(50, height - start + 1) }, (_, i) => ({
      jsonrpc: '2.0',
      id: i,
      method: 'eth_getBlockByNumber',
      params: [toHex(start + i), false],
    }))
    const response = await fetch(validator.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    const answers = (await response.json()) as { id: number; result: { hash: string } }[]
    for (const { result } of answers.sort((a, b) => a.id - b.id)) hashes.push(result.hash)
  }
  return hashes
}
