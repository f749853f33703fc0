import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { bytesToHex } from '@cumulus/bytes'
import { createGenesis, type GenesisFile, writeMemberKeys } from '@cumulus/execution'
import { PeerIdentity } from '@cumulus/network'
import { committeeOf } from '@cumulus/r2s'
import { createLogger, createMetrics, type LogLevel, type Metrics, type RunningRole } from '@cumulus/service'
import { BlsKey, deal } from '@cumulus/threshold'
import { createPublicClient, http, type PublicClient } from 'viem'
import { testAccount } from '../../execution/test/transactions.ts'
import { startValidator, type ValidatorConfig } from '../src/validator.ts'

const TOKEN = 10n ** 18n

/** A port that is free now: addresses of members stand in the genesis, before anybody listens. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

export interface OrderStatus {
  readonly round: number
  readonly decidedRound: number
  readonly evidence: readonly {
    readonly kind: string
    readonly member: number
    readonly place: string
    readonly proof: Readonly<Record<string, string>>
  }[]
  readonly silencedAtRound?: number
  readonly isInquiring: boolean
  readonly certifiedHeight: string
  readonly members: readonly { readonly round: number }[]
}

export interface TestSeat {
  readonly seed: Uint8Array
  readonly blsSeed: Uint8Array
  readonly coinShare?: Uint8Array
  readonly port: number
}

/** Whom a genesis can name, and the coin dealt to them if there are enough. */
export interface TestSeats {
  readonly seats: readonly TestSeat[]
  readonly coin: NonNullable<GenesisFile['committee']>['coin']
}

export async function testSeats(count: number): Promise<TestSeats> {
  const { coinThreshold: t } = committeeOf(count)
  const dealing = count >= 4 ? deal({ n: count, t, randomness: new Uint8Array(randomBytes(32)) }) : undefined
  const seats = await Promise.all(
    Array.from({ length: count }, async (_, index) => ({
      coinShare: dealing?.shares[index],
      seed: new Uint8Array(randomBytes(32)),
      blsSeed: new Uint8Array(randomBytes(32)),
      port: await freePort(),
    })),
  )
  const coin = dealing
    ? {
        mode: 'dealt' as const,
        publicKey: bytesToHex(dealing.publicKey),
        shareKeys: dealing.shareKeys.map((key) => bytesToHex(key)),
      }
    : { mode: 'public' as const }
  return { seats, coin }
}

/** Ten funded accounts on the smallest parameters, and a committee on this machine. */
export function committeeGenesis({ seats, coin }: TestSeats): GenesisFile {
  return createGenesis({
    preset: 'minimal',
    timeMs: 1_764_000_000_000,
    allocations: Array.from({ length: 10 }, (_, index) => ({
      address: testAccount(index).address,
      balance: 1_000_000n * TOKEN,
    })),
    committee: {
      members: seats.map(({ seed, blsSeed, port }, index) => {
        const bls = BlsKey.fromSeed(blsSeed)
        return {
          account: testAccount(100 + index).address,
          peerKey: bytesToHex(new PeerIdentity(seed).publicKey),
          blsKey: bytesToHex(bls.publicKey),
          blsProof: bytesToHex(bls.provePossession()),
          address: `/ip4/127.0.0.1/tcp/${port}`,
        }
      }),
      coin,
    },
  })
}

/** One member in this process; may be stopped and started again on its folder. */
export class TestMember {
  readonly dir: string
  readonly seat: TestSeat
  readonly genesis: GenesisFile
  metrics: Metrics = createMetrics({ process: false })
  readonly #config: Partial<ValidatorConfig>
  #role: RunningRole | undefined
  #stop = new AbortController()

  constructor(dir: string, seat: TestSeat, genesis: GenesisFile, config: Partial<ValidatorConfig> = {}) {
    this.dir = dir
    this.seat = seat
    this.genesis = genesis
    this.#config = config
  }

  get role(): RunningRole {
    return this.#role!
  }

  get client(): PublicClient {
    return createPublicClient({ transport: http(`http://127.0.0.1:${this.role.ports['rpc']}`), pollingInterval: 20 })
  }

  /** @param areNew as when the network was made; a member that starts without keys has used them elsewhere */
  async writeKeys(areNew = false): Promise<void> {
    await mkdir(this.dir, { recursive: true })
    const { seed, blsSeed, coinShare } = this.seat
    await writeMemberKeys(this.dir, { peerSeed: seed, blsSeed, ...(coinShare && { coinShare }) }, { areNew })
  }

  async start(): Promise<void> {
    this.#stop = new AbortController()
    this.metrics = createMetrics({ process: false })
    await this.writeKeys()
    this.#role = await startValidator(
      {
        dir: this.dir,
        genesis: this.genesis,
        rpc: { host: '127.0.0.1', port: 0 },
        pace: { minRoundMs: 10, idleRoundMs: 200 },
        ...this.#config,
      },
      {
        signal: this.#stop.signal,
        log: createLogger({
          name: `validator ${this.seat.port}`,
          level: (process.env['TEST_LOG'] as LogLevel) ?? 'error',
        }),
        metrics: this.metrics,
      },
    )
    this.role.stopped.catch(() => {})
  }

  /** @returns what it died of, if it did */
  async stop(): Promise<Error | undefined> {
    this.#stop.abort()
    return this.#role?.stopped.then(
      () => undefined,
      (error) => error,
    )
  }

  /** What it says of itself, and of the order. */
  async status(): Promise<{ height: string; headHash: string; orderer: OrderStatus }> {
    return (await this.role.status()) as { height: string; headHash: string; orderer: OrderStatus }
  }
}

export class TestCommittee {
  readonly dir: string
  readonly members: readonly TestMember[]

  private constructor(dir: string, members: readonly TestMember[]) {
    this.dir = dir
    this.members = members
  }

  /** @param areNew without it, nobody vouches that the members never signed: all have lost their logs */
  static async start(
    size: number,
    config: Partial<ValidatorConfig> = {},
    { areNew = true }: { readonly areNew?: boolean } = {},
  ): Promise<TestCommittee> {
    const dir = await mkdtemp(join(tmpdir(), 'cumulus-committee-'))
    const seats = await testSeats(size)
    const genesis = committeeGenesis(seats)
    const members = seats.seats.map((seat, index) => new TestMember(join(dir, String(index)), seat, genesis, config))
    if (areNew) await Promise.all(members.map((member) => member.writeKeys(true)))
    await Promise.all(members.map((member) => member.start()))
    return new TestCommittee(dir, members)
  }

  async remove(): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop()))
    await rm(this.dir, { recursive: true })
  }
}

/** Looks again and again. */
export async function eventually(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  withinMs = 20_000,
): Promise<void> {
  const untilMs = performance.now() + withinMs
  while (!(await isSo())) {
    if (performance.now() > untilMs) throw new Error(`not in time: ${what}`)
    await setTimeout(20)
  }
}
