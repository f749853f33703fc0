import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { selfCommand } from '@cumulus/cli'
import { freePorts, SlowProxy } from '@cumulus/e2e'
import { PeerIdentity } from '@cumulus/network'
import { committeeOf } from '@cumulus/r2s'
import { deal } from '@cumulus/threshold'
import type { OrderAnswers, OrderCount, OrderEnd, OrderJob, OrderQuestion } from '@cumulus/validator/bench'
import { BenchError } from './bench-error.ts'

export interface OrderCommitteeInit {
  readonly size: number
  readonly transactionBytes: number
  /** In one own block; fewer if no more fit. */
  readonly transactionsMax: number
  /** Default: what validators have. */
  readonly minRoundMs?: number
  /** One way, between any two. Default: none. */
  readonly delayMs?: number
}

interface Context {
  readonly signal: AbortSignal
  /** Where CPU profiles of the members go. */
  readonly profileFolder?: string
}

/** Long enough for a member that does not get a core. */
const ANSWER_MS_MAX = 30_000
const STDERR_CHARACTERS_MAX = 4_000

/** Members that order and do nothing else, each a process of its own: see `order-member.ts` of the validator. */
export class OrderCommittee {
  readonly #dir: string
  readonly #members: readonly MemberProcess[]
  readonly #proxies: readonly SlowProxy[]

  private constructor(dir: string, members: readonly MemberProcess[], proxies: readonly SlowProxy[]) {
    this.#dir = dir
    this.#members = members
    this.#proxies = proxies
  }

  /** @throws BenchError NETWORK_FAILED */
  static async start(init: OrderCommitteeInit, context: Context): Promise<OrderCommittee> {
    const dir = await mkdtemp(join(tmpdir(), 'cumulus-order-'))
    const ports = await freePorts(init.size)
    const { delayMs } = init
    const proxies =
      delayMs === undefined
        ? []
        : await Promise.all(ports.map((targetPort) => SlowProxy.start({ targetPort, delayMs, seed: '' })))
    const dialledPorts = ports.map((port, seat) => proxies[seat]?.port ?? port)
    const members = ports.map(() => new MemberProcess(context))
    const committee = new OrderCommittee(dir, members, proxies)
    try {
      const jobs = jobsOf(dir, init, ports, dialledPorts)
      await Promise.all(jobs.map(({ folder }) => mkdir(folder)))
      await Promise.all(members.map((member, seat) => member.ask('job', jobs[seat])))
      await Promise.all(members.map((member) => member.ask('start')))
      return committee
    } catch (error) {
      await committee.remove()
      throw error
    }
  }

  /** What bytes were held beyond the delay of their line, in the mean of the worst line. */
  get meanLateMs(): number {
    return Math.max(0, ...this.#proxies.map((proxy) => proxy.meanLateMs))
  }

  get pids(): readonly number[] {
    return this.#members.map(({ pid }) => pid)
  }

  /** By seat. */
  count(): Promise<OrderCount[]> {
    return Promise.all(this.#members.map((member) => member.ask('count')))
  }

  /** By seat. Nothing can be asked after it. */
  async end(): Promise<OrderEnd[]> {
    const ends = await Promise.all(this.#members.map((member) => member.ask('end')))
    await Promise.all(this.#members.map((member) => member.gone))
    return ends
  }

  async remove(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.kill()))
    await Promise.all(this.#proxies.map((proxy) => proxy.close()))
    await rm(this.#dir, { recursive: true, force: true, maxRetries: 5 })
  }
}

function jobsOf(
  dir: string,
  { size, transactionBytes, transactionsMax, minRoundMs }: OrderCommitteeInit,
  ports: readonly number[],
  dialledPorts: readonly number[],
): OrderJob[] {
  const { coinThreshold: t } = committeeOf(size)
  const { shares, ...coinKey } = deal({ n: size, t, randomness: new Uint8Array(randomBytes(32)) })
  const seeds = ports.map(() => new Uint8Array(randomBytes(32)))
  const members = seeds.map((seed, seat) => ({
    peerKey: new PeerIdentity(seed).publicKey,
    port: dialledPorts[seat]!,
  }))
  return seeds.map((peerSeed, self) => ({
    folder: join(dir, String(self)),
    self,
    peerSeed,
    port: ports[self]!,
    members,
    coinKey,
    coinShare: shares[self]!,
    transactionBytes,
    transactionsMax,
    minRoundMs,
  }))
}

/** Answers one question at a time. */
class MemberProcess {
  /** Resolves when the process has ended, however. */
  readonly gone: Promise<unknown>
  readonly #child: ChildProcess
  readonly #ending = new AbortController()
  readonly #signal: AbortSignal
  #stderr = ''

  constructor({ signal, profileFolder }: Context) {
    // As all processes of a network are started: between the program and its first file.
    const flags = selfCommand().slice(1, -1)
    const profile = profileFolder ? ['--cpu-prof', '--cpu-prof-dir', profileFolder] : []
    this.#child = fork(fileURLToPath(import.meta.resolve('@cumulus/validator/bench')), {
      execArgv: [...flags, ...profile],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#signal = AbortSignal.any([signal, this.#ending.signal])
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_CHARACTERS_MAX)
    })
    this.gone = once(this.#child, 'close').then(() => {
      this.#ending.abort(new BenchError('NETWORK_FAILED', `a member ended: ${this.#stderr.trim()}`))
    })
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** @throws BenchError NETWORK_FAILED if the process has ended */
  async ask<Kind extends keyof OrderAnswers>(kind: Kind, job?: OrderJob): Promise<OrderAnswers[Kind]> {
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(ANSWER_MS_MAX)])
    const answer = once(this.#child, 'message', { signal })
    // Whether it was sent does not matter: without a process there is no answer.
    this.#child.send(job ?? (kind as OrderQuestion), () => {})
    try {
      return (await answer)[0] as OrderAnswers[Kind]
    } catch (error) {
      throw signal.aborted ? signal.reason : error
    }
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.gone
  }
}
