import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { bytesToHex, concatBytes, utf8Encode } from '@cumulus/bytes'
import { ChainClient, ChainError, type ChainEvent, type EventName } from '@cumulus/chain'
import { type Codec, ErasureCode } from '@cumulus/erasure'
import { createGenesis, writeGenesis } from '@cumulus/execution'
import { moduleAbis, registrationMessage } from '@cumulus/ledger/modules'
import {
  type FrameMessage,
  FrameOp,
  formatAddress,
  type Listener,
  listen,
  NetworkError,
  type PartialFrame,
  PeerIdentity,
  RemoteError,
  type Session,
} from '@cumulus/network'
import type { Params } from '@cumulus/params'
import { createLogger, type Logger, retry, sleep } from '@cumulus/service'
import { secp256k1Address, secp256k1PublicKey } from '@cumulus/signature'
import { encodeDescriptor, fragmentIdOf, type SegmentDescriptor, segmentRoot } from '@cumulus/storage'
import type { TeeWorkerConfig } from '@cumulus/tee-worker'
import { type Address, addressFromBytes } from '@cumulus/types'
import { type Abi, decodeErrorResult, type Hex } from 'viem'
import { proofRules } from './proof-rules.ts'
import type { RoleJob, RoleMetrics, RoleReady } from './role-process.ts'

/** A segment that was written: all its fragments, for those who want to cheat with them. */
export interface WrittenStripe {
  readonly group: number
  readonly stripe: number
  readonly root: Uint8Array
  readonly fragments: readonly Uint8Array[]
}

/** A process of its own. */
interface Role {
  readonly ports: Readonly<Record<string, number>>
  stop(): Promise<void>
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>
  /** What it counts of itself, as Prometheus has it. */
  metrics(): Promise<string>
}

export interface NetworkMiner {
  readonly account: Address
  readonly privateKey: Uint8Array
  readonly folder: string
  readonly chain: ChainClient
  role: Role | undefined
}

/** A chain, miners and a TEE worker, each a process, on the tiny rules; the test is the gateway. */
export class ProofNetwork {
  readonly params: Params = proofRules
  readonly folder: string
  readonly rpc: string[]
  readonly log: Logger
  readonly lines: string[]
  readonly miners: NetworkMiner[] = []
  /** Whoever needs an account that does nothing else. */
  readonly observer: ChainClient
  worker: Role | undefined
  readonly #genesisMs: number
  readonly #stop: AbortController
  readonly #roles: Role[] = []
  readonly #sessions = new Map<string, Session>()
  #gateway: { readonly chain: ChainClient; readonly listener: Listener; readonly territory: bigint } | undefined

  private constructor(parts: {
    folder: string
    genesisMs: number
    rpc: string[]
    log: Logger
    lines: string[]
    observer: ChainClient
    stop: AbortController
    validator: Role
  }) {
    this.folder = parts.folder
    this.#genesisMs = parts.genesisMs
    this.rpc = parts.rpc
    this.log = parts.log
    this.lines = parts.lines
    this.observer = parts.observer
    this.#stop = parts.stop
    this.#roles.push(parts.validator)
  }

  static async start(minerCount: number): Promise<ProofNetwork> {
    const folder = await mkdtemp(join(tmpdir(), 'cumulus-proofs-'))
    const lines: string[] = []
    const log = createLogger({ name: 'proofs', level: 'debug', json: true, write: (line) => lines.push(line) })
    const stop = new AbortController()
    const numbers = [GATEWAY, WORKER, OBSERVER, WORKER + 1, ...Array.from({ length: minerCount }, (_, i) => i + 1)]
    const allocations = numbers.map((n) => ({ address: addressOf(n), balance: 10n ** 24n }))
    const attestation = { simulated: true, measurements: [] }
    const genesis = join(folder, 'genesis.json')
    // Chain blocks show whole seconds: so their era is seen exactly.
    const genesisMs = Math.floor(Date.now() / 1000) * 1000
    await writeGenesis(genesis, createGenesis({ preset: 'minimal', allocations, timeMs: genesisMs, attestation }))
    const config = { dir: join(folder, 'chain'), genesis, rpc: { host: '127.0.0.1', port: 0 }, heartbeatSlots: 1 }
    const validator = await startProcess({ role: 'validator', label: {}, config }, lines)
    const rpc = [`http://127.0.0.1:${validator.ports['rpc']}`]
    const { signal } = stop
    const observer = await ChainClient.connect({
      urls: rpc,
      privateKey: keyOf(OBSERVER),
      params: proofRules,
      log,
      signal,
    })
    const network = new ProofNetwork({ folder, genesisMs, rpc, log, lines, observer, stop, validator })
    try {
      await Promise.all(Array.from({ length: minerCount }, (_, i) => network.#addMiner(i + 1)))
      await network.#openGateway(minerCount)
    } catch (error) {
      await network.close()
      throw error
    }
    return network
  }

  /** The chain as the account of a number sees it. */
  connect(n: number): Promise<ChainClient> {
    const { rpc: urls, params, log } = this
    return ChainClient.connect({ urls, privateKey: keyOf(n), params, log, signal: this.#stop.signal })
  }

  async #addMiner(n: number): Promise<void> {
    const privateKey = keyOf(n)
    const chain = await this.connect(n)
    const folder = join(this.folder, `miner-${n}`)
    this.miners[n - 1] = { account: chain.account, privateKey, folder, chain, role: undefined }
    await this.startMiner(n - 1)
  }

  async startMiner(index: number): Promise<void> {
    const miner = this.miners[index]!
    const { folder } = miner
    const { rpc } = this
    const tuning = { keepFreeBytes: 0, fillBytesPerSecond: 0, audits: { gatherMs: 50, retryMs: 500 } }
    const config = { folder, rpc, spaceBytes: 2 ** 21, tuning }
    miner.role = await startProcess({ role: 'miner', label: { miner: index }, key: index + 1, config }, this.lines)
    this.#roles.push(miner.role)
  }

  async stopMiner(index: number): Promise<void> {
    await this.miners[index]!.role?.stop()
    this.miners[index]!.role = undefined
  }

  async startWorker(
    change: Partial<Omit<TeeWorkerConfig, 'params' | 'privateKey'>> & { n?: number } = {},
  ): Promise<void> {
    const { n = WORKER, ...rest } = change
    const { rpc } = this
    const config: Omit<TeeWorkerConfig, 'params' | 'privateKey'> = {
      folder: join(this.folder, `tee-worker-${n}`),
      rpc,
      data: { host: '127.0.0.1', port: 0 },
      attestation: 'simulated',
      tuning: { threads: 1, lookMs: 1_000 },
      ...rest,
    }
    this.worker = await startProcess({ role: 'tee-worker', label: { worker: n }, key: n, config }, this.lines)
    this.#roles.push(this.worker)
  }

  async stopWorker(): Promise<void> {
    await this.worker?.stop()
    this.worker = undefined
  }

  /** kill -9. */
  async killWorker(): Promise<void> {
    await this.worker?.kill()
    this.worker = undefined
  }

  async #openGateway(minerCount: number): Promise<void> {
    const { signal } = this.#stop
    const { params } = this
    const identity = PeerIdentity.create()
    const hello = utf8Encode(JSON.stringify({ role: 'gateway', chainId: params.chainId, version: 1 }))
    const listener = await listen(
      {
        host: '127.0.0.1',
        port: 0,
        identity,
        handlers: { [FrameOp.hello]: () => ({ meta: hello }) },
        onSession: (session) => {
          this.#sessions.set(session.peerKey.toHex(), session)
        },
      },
      { signal },
    )
    const chain = await this.connect(GATEWAY)
    const proof = bytesToHex(identity.sign(registrationMessage(params.chainId, chain.account)))
    const where = formatAddress({ host: listener.host, port: listener.port, peerKey: identity.publicKey })
    const bytes = 2n ** 24n
    const price = await chain.read('Territories', 'price', [bytes, 1_000])
    const [, minted] = await Promise.all([
      chain.send('Gateways', 'register', [bytesToHex(identity.publicKey), where, '', proof]),
      chain.send('Territories', 'mint', ['home', bytes, 1_000, chain.account], { value: price }),
    ])
    const { id } = minted.events.find(({ name }) => name === 'TerritoryMinted')!.args as { id: bigint }
    this.#gateway = { chain, listener, territory: id }
    await this.until('miners dial the gateway', () => this.#sessions.size >= minerCount)
  }

  /** Reserves stripes, puts a random segment in each, and commits them. */
  async write(count: number, className: 'standard' | 'light' = 'standard'): Promise<WrittenStripe[]> {
    const { chain, territory } = this.#gateway!
    const kind = this.params.classes[className]
    const reserved = await patiently(() => chain.send('Storage', 'reserve', [territory, kind.id, count]))
    const { reservation, group, firstStripe } = reserved.events.find(({ name }) => name === 'Reserved')!.args as {
      reservation: bigint
      group: number
      firstStripe: number
    }
    const { peerKeys } = await chain.read('Storage', 'groupOf', [group])
    const { dataCount, seatCount, fragmentBytes, codec } = kind
    const code = ErasureCode.create({ dataCount, parityCount: seatCount - dataCount, codec: codec as Codec })
    const written: WrittenStripe[] = []
    const commits: { stripe: number; root: Hex; seats: bigint; signatures: Hex }[] = []
    for (let i = 0; i < count; i++) {
      const data = Array.from({ length: dataCount }, () => new Uint8Array(randomBytes(fragmentBytes)))
      const parity = Array.from({ length: seatCount - dataCount }, () => new Uint8Array(fragmentBytes))
      code.encode(data, parity)
      const fragments = [...data, ...parity]
      const descriptor: SegmentDescriptor = {
        classId: kind.id,
        codec,
        dataCount,
        length: dataCount * fragmentBytes,
        journalDigest: new Uint8Array(32),
        fragmentIds: fragments.map(fragmentIdOf),
      }
      const root = segmentRoot(descriptor)
      const stripe = firstStripe + i
      const meta = encodeDescriptor(descriptor)
      const receipts = await Promise.all(
        fragments.map((body, seat) =>
          this.request(peerKeys[seat]!, FrameOp.put, {
            group,
            stripe,
            seat,
            hash: descriptor.fragmentIds[seat]!,
            meta,
            body,
          }),
        ),
      )
      const signatures = bytesToHex(concatBytes(...receipts.map((receipt) => receipt.meta)))
      commits.push({ stripe, root: bytesToHex(root), seats: (1n << BigInt(seatCount)) - 1n, signatures })
      written.push({ group, stripe, root, fragments })
    }
    await patiently(() => chain.send('Storage', 'commit', [reservation, commits]))
    return written
  }

  async release(group: number, stripes: number[]): Promise<void> {
    await patiently(() => this.#gateway!.chain.send('Storage', 'release', [group, stripes]))
  }

  /** Asks a miner, over its next session if the one at hand breaks. */
  request(peerKey: string, op: FrameOp, message: PartialFrame): Promise<FrameMessage> {
    return patiently(async () => {
      const session = this.#sessions.get(peerKey.slice(2))
      if (!session || session.closeReason) throw new NetworkError('CLOSED', 'this miner is not connected')
      return await session.request(op, message)
    })
  }

  /** Whether every seat of these stripes has said that it holds their tags. */
  async areTagged(stripes: readonly WrittenStripe[]): Promise<boolean> {
    for (const [group, members] of Map.groupBy(stripes, ({ group }) => group)) {
      const { peerKeys } = await this.observer.read('Storage', 'groupOf', [group])
      const wanted = members.reduce((bits, { stripe }) => bits | (1n << BigInt(stripe)), 0n)
      const words = await Promise.all(
        peerKeys.map((_, seat) => this.observer.read('Audit', 'taggedOf', [group, seat, 0])),
      )
      if (words.some((word) => (word & wanted) !== wanted)) return false
    }
    return true
  }

  /** Of a chain block, by its own time. Default: the latest. */
  async era(number?: bigint): Promise<bigint> {
    const block = await this.observer.block(number ?? (await this.observer.blockNumber()))
    if (!block) throw new Error(`there is no chain block ${number}`)
    const { slotMs, slotsPerEpoch, epochsPerEra } = this.params
    const elapsedMs = block.timestampSeconds * 1000n - BigInt(this.#genesisMs)
    return elapsedMs / BigInt(slotMs * slotsPerEpoch * epochsPerEra)
  }

  /** Everything that the module Audit has told until now, in order. */
  async audits<Name extends EventName<'Audit'>>(...names: readonly Name[]): Promise<ChainEvent<'Audit', Name>[]> {
    const head = await this.observer.blockNumber()
    const stop = new AbortController()
    const found: ChainEvent<'Audit', Name>[] = []
    const onProgress = (block: bigint) => {
      if (block >= head) stop.abort()
    }
    try {
      for await (const event of this.observer.events('Audit', names, {
        fromBlock: 1n,
        signal: stop.signal,
        onProgress,
      }))
        found.push(event)
    } catch (error) {
      if (!stop.signal.aborted) throw error
    }
    return found
  }

  /** What a miner last logged of its audits: for who wonders why it failed. */
  linesOf(index: number): string {
    const own = this.lines.filter((line) => line.includes(`"miner":${index},`) && /challenge|loss|damaged/.test(line))
    return own.slice(-12).join('')
  }

  /**
   * The name of the error that a transaction was reverted with, in its own chain block: receipts do not tell, and the same call
   * says something else on the state of now.
   */
  async whyReverted(transactionHash: string): Promise<string> {
    const response = await fetch(this.rpc[0]!, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'debug_traceTransaction',
        params: [transactionHash, { tracer: 'callTracer' }],
      }),
      signal: AbortSignal.timeout(10_000),
    })
    const { result } = (await response.json()) as { result: { output: Hex } }
    return decodeErrorResult({ abi: moduleAbis.Audit.abi as Abi, data: result.output }).errorName
  }

  async record(miner: Address) {
    const [failedInRow, missedInRow, passed, failed, missed] = await this.observer.read('Audit', 'recordOf', [miner])
    return { failedInRow, missedInRow, passed, failed, missed }
  }

  /** Asks until it is so. Who does not get an answer asks again, until the time is up. */
  async until(what: string, condition: () => boolean | Promise<boolean>, seconds = 60): Promise<void> {
    const giveUpAtMs = performance.now() + seconds * 1000
    for (let cause: unknown; ; ) {
      try {
        if (await condition()) return
        cause = undefined
      } catch (error) {
        if (!isPassing(error)) throw error
        cause = error
      }
      if (performance.now() > giveUpAtMs) throw new Error(`not in ${seconds} s: ${what}`, { cause })
      // Fifteen processes share the machine: who asks too often makes everybody late.
      await sleep(500)
    }
  }

  async close(): Promise<void> {
    for (const role of this.#roles.toReversed()) await role.stop().catch(() => undefined)
    await this.#gateway?.listener.close()
    this.#stop.abort(new Error('the network is closed'))
    await rm(this.folder, { recursive: true, force: true })
  }
}

const GATEWAY = 200
export const WORKER = 210
const OBSERVER = 220

export function keyOf(n: number): Uint8Array {
  return new Uint8Array(32).fill(n)
}

function addressOf(n: number): Address {
  return addressFromBytes(secp256k1Address(secp256k1PublicKey(keyOf(n))))
}

/** What a user would just try again: the call did not happen, or happening twice does no harm. */
function isPassing(error: unknown): boolean {
  if (error instanceof NetworkError) return true
  if (error instanceof RemoteError) return ['CHAIN_UNREACHABLE', 'OVERLOADED'].includes(error.code)
  return error instanceof ChainError && ['UNREACHABLE', 'BUSY', 'LOST', 'BAD_ANSWER'].includes(error.code)
}

export function patiently<Value>(attempt: () => Promise<Value>): Promise<Value> {
  return retry(attempt, { attempts: 6, baseMs: 250, maxMs: 4_000, retriable: isPassing })
}

const ENTRY = fileURLToPath(new URL('./role-process.ts', import.meta.url))
/** Of all processes together: for whoever wonders why a test failed. */
const LINES_MAX = 20_000

/** Starts a role as a process; resolves once it is ready. */
async function startProcess(job: RoleJob, lines: string[]): Promise<Role> {
  const child = spawn(process.execPath, ['--conditions=@cumulus/source', ENTRY, JSON.stringify(job)], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    // A session each, as the processes of `cumulus up`: where Linux shares a busy machine out between sessions, twelve miners
    // that answer in time would else have the turn of one. They end with the test: see the entry.
    detached: true,
  })
  createInterface({ input: child.stderr! }).on('line', (line) => {
    if (lines.push(`${line}\n`) > LINES_MAX) lines.splice(0, LINES_MAX / 2)
  })
  const ended = once(child, 'exit')
  const ready = new Promise<RoleReady>((resolve) => child.once('message', (message) => resolve(message as RoleReady)))
  const first = await Promise.race([ready, ended.then(() => undefined)])
  if (!first) throw new Error(`${job.role} did not start:\n${lines.slice(-20).join('')}`)
  return {
    ports: first.ports,
    stop: () => stopProcess(child, ended),
    kill: async () => {
      child.kill('SIGKILL')
      await ended
    },
    metrics: async () => {
      const answer = once(child, 'message')
      child.send('metrics')
      const [message] = (await Promise.race([answer, ended])) as [RoleMetrics | number | null]
      if (typeof message !== 'object' || !message) throw new Error(`${job.role} is gone`)
      return message.metrics
    },
  }
}

async function stopProcess(child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  const giveUp = setTimeout(() => child.kill('SIGKILL'), 20_000)
  await ended
  clearTimeout(giveUp)
}
