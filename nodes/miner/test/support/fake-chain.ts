import { equalBytes } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'
import type {
  ChainGateway,
  ChainGroup,
  ChainMiner,
  ChainStripe,
  CommittedEvent,
  FollowInit,
  MinerChain,
  Registration,
  StripeEvent,
} from '../../src/index.ts'

interface Placed<Event> {
  readonly block: bigint
  readonly event: Event
}

export const ZERO_ADDRESS: Address = `0x${'00'.repeat(20)}`

/** A chain in memory: every change is a block of its own. */
export class FakeChain implements MinerChain {
  readonly account: Address = `0x${'11'.repeat(20)}`
  funds = 10n ** 24n
  entry: ChainMiner | undefined
  registrations: Registration[] = []
  updates: string[] = []
  height = 1n
  /** Reads so far, by name. */
  reads: Record<string, number> = {}
  /** Makes every read fail. */
  isDown = false
  readonly grants = new Set<string>()
  readonly #gateways: ChainGateway[] = []
  readonly #groups = new Map<number, ChainGroup>()
  readonly #stripes = new Map<string, ChainStripe>()
  readonly #reservations = new Map<bigint, { group: number; firstStripe: number; stripeCount: number }>()
  readonly #committed: Placed<CommittedEvent>[] = []
  readonly #released: Placed<StripeEvent>[] = []
  readonly #changes: Placed<unknown>[] = []
  readonly #waiters = new Set<() => void>()

  // ---- What happens on the chain

  addGateway(gateway: ChainGateway): void {
    this.#gateways.push(gateway)
    this.#changes.push({ block: this.#nextBlock(), event: gateway })
    this.#wake()
  }

  removeGateway(peerKey: Uint8Array): void {
    this.#gateways.splice(
      this.#gateways.findIndex((gateway) => equalBytes(gateway.peerKey, peerKey)),
      1,
    )
    this.#changes.push({ block: this.#nextBlock(), event: peerKey })
    this.#wake()
  }

  openGroup(id: number, group: ChainGroup): void {
    this.#groups.set(id, group)
  }

  reserve(id: bigint, gateway: Address, group: number, firstStripe: number, stripeCount: number): void {
    this.#reservations.set(id, { group, firstStripe, stripeCount })
    for (let i = 0; i < stripeCount; i++) {
      const stripe: ChainStripe = { state: 'reserved', root: new Uint8Array(32), reservation: id, gateway }
      this.#stripes.set(`${group}/${firstStripe + i}`, stripe)
    }
  }

  commit(group: number, stripe: number, root: Uint8Array, init = { silent: false }): void {
    const name = `${group}/${stripe}`
    this.#stripes.set(name, { ...this.#stripes.get(name)!, state: 'committed', root })
    if (!init.silent) this.#committed.push({ block: this.#nextBlock(), event: { group, stripe, root } })
    this.#wake()
  }

  release(group: number, stripe: number, init = { silent: false }): void {
    const name = `${group}/${stripe}`
    this.#stripes.set(name, { ...this.#stripes.get(name)!, state: 'released' })
    if (!init.silent) this.#released.push({ block: this.#nextBlock(), event: { group, stripe } })
    this.#wake()
  }

  // ---- What the miner sees

  balance = async (): Promise<bigint> => this.funds
  blockNumber = async (): Promise<bigint> => this.height
  miner = async (): Promise<ChainMiner | undefined> => this.#read('miner', this.entry)
  gateways = async (): Promise<ChainGateway[]> => this.#read('gateways', [...this.#gateways])
  group = async (id: number): Promise<ChainGroup | undefined> => this.#read('group', this.#groups.get(id))
  reservation = async (id: bigint) => this.#read('reservation', this.#reservations.get(id))
  mayUse = async (territory: bigint, gateway: Address): Promise<boolean> =>
    this.#read('mayUse', this.grants.has(`${territory}/${gateway}`))

  async stripes(group: number, first: number, count: number): Promise<ChainStripe[]> {
    const none: ChainStripe = { state: 'none', root: new Uint8Array(32), reservation: 0n, gateway: ZERO_ADDRESS }
    const stripes = Array.from({ length: count }, (_, i) => this.#stripes.get(`${group}/${first + i}`) ?? none)
    return this.#read('stripes', stripes)
  }

  async register(registration: Registration): Promise<void> {
    this.registrations.push(registration)
    const { peerKey, addresses, region, units, stake } = registration
    const counts = { declaredUnits: units, idleUnits: units, lockedUnits: 0, serviceUnits: 0 }
    this.entry = { peerKey, addresses, region, state: 'active', ...counts, stake, registeredAtBlock: this.height }
  }

  async declareUnits(units: number, stake: bigint): Promise<void> {
    const entry = this.entry!
    this.entry = { ...entry, declaredUnits: units, idleUnits: units, stake: entry.stake + stake }
  }

  async update(addresses: string, region: string): Promise<void> {
    this.updates.push(`${addresses} ${region}`)
    this.entry = { ...this.entry!, addresses, region }
  }

  gatewayChanges = (init: FollowInit): AsyncIterable<unknown> => this.#follow(this.#changes, init)
  committed = (init: FollowInit): AsyncIterable<CommittedEvent> => this.#follow(this.#committed, init)
  released = (init: FollowInit): AsyncIterable<StripeEvent> => this.#follow(this.#released, init)

  async *#follow<Event>(
    events: readonly Placed<Event>[],
    { fromBlock, signal, onProgress }: FollowInit,
  ): AsyncGenerator<Event> {
    let seen = 0
    for (;;) {
      signal.throwIfAborted()
      while (seen < events.length) {
        const { block, event } = events[seen++]!
        if (block >= fromBlock) yield event
        onProgress?.(block)
      }
      await new Promise<void>((resolve) => {
        this.#waiters.add(resolve)
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    }
  }

  #read<Value>(name: string, value: Value): Value {
    if (this.isDown) throw Object.assign(new Error('no node answers'), { name: 'ChainError', code: 'UNREACHABLE' })
    this.reads[name] = (this.reads[name] ?? 0) + 1
    return value
  }

  #nextBlock(): bigint {
    this.height++
    return this.height
  }

  #wake(): void {
    for (const waiter of this.#waiters) waiter()
    this.#waiters.clear()
  }
}
