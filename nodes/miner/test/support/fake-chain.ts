import { equalBytes } from '@cumulus/bytes'
import { ChainError } from '@cumulus/chain'
import { minimal } from '@cumulus/params'
import { challengeOver, decodeEntries, encodeEntries, type TaggerKey, verify, withoutEntries } from '@cumulus/podr2'
import type { Address } from '@cumulus/types'
import { groupId, seat, stripeNumber } from '@cumulus/types'
import type {
  ChainChallenge,
  ChainGateway,
  ChainGroup,
  ChainMiner,
  ChainRecord,
  ChainRewards,
  ChainStripe,
  ChainWorker,
  ChallengedEvent,
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

const noRecord: ChainRecord = {
  failedInRow: 0,
  missedInRow: 0,
  passed: 0,
  failed: 0,
  missed: 0,
  lastPassedEpoch: undefined,
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
  readonly #workers: ChainWorker[] = []
  readonly #workerChanges: Placed<unknown>[] = []
  readonly #challenged: Placed<ChallengedEvent>[] = []
  /** By group/seat/first stripe. */
  readonly taggedBits = new Map<string, bigint>()
  open: ChainChallenge | undefined
  #taggerKey: TaggerKey | undefined
  /** What became of the challenges that were answered. */
  readonly verdicts: string[] = []
  /** Calls of `submitProof` that fail before one is taken. */
  submitFailures = 0
  /** Has every `reportLoss` reverted. */
  refusesLosses = false
  /** Calls of `reportLoss` that fail before one is taken. */
  lossFailures = 0
  /** Confirmations are in a block no sooner than this. */
  confirming: Promise<void> | undefined
  /** Makes the chain forget to tell of challenges. */
  hidesEvents = false
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

  addWorker(worker: ChainWorker): void {
    this.#workers.push(worker)
    this.#workerChanges.push({ block: this.#nextBlock(), event: worker })
    this.#wake()
  }

  /** A worker of the register is another one now, or says something else. */
  changeWorker(worker: ChainWorker): void {
    const at = this.#workers.findIndex(({ account }) => account === worker.account)
    this.#workers.splice(at, 1, worker)
    this.#workerChanges.push({ block: this.#nextBlock(), event: worker })
    this.#wake()
  }

  /** Another worker tags a group: nothing of it is tagged any more. */
  handOver(id: number, tagger: Address): void {
    this.#groups.set(id, { ...this.#groups.get(id)!, tagger })
    for (const name of this.taggedBits.keys()) if (name.startsWith(`${id}/`)) this.taggedBits.delete(name)
  }

  /** Challenges the miner over these blocks of its seats, by tags of `worker` whose key is given. */
  challengeMiner(
    worker: ChainWorker,
    key: TaggerKey,
    places: readonly { group: number; stripe: number; block: number }[],
    seed = new Uint8Array(32).fill(Number(this.height)),
  ): void {
    const block = this.#nextBlock()
    const common = { worker: worker.account, seed, deadlineMs: Date.now() + 2_000, epoch: this.height }
    this.open = { ...common, issuedAtBlock: block, state: 'open' }
    this.#taggerKey = key
    const list = places.map(({ group, stripe, block: at }) => {
      return { group: groupId(group), stripe: stripeNumber(stripe), block: at }
    })
    this.#challenged.push({ block, event: { ...common, entries: encodeEntries(list) } })
    if (!this.hidesEvents) this.#wake()
  }

  /** The window is over. */
  closeChallenge(): void {
    if (this.open?.state === 'open') {
      this.open = { ...this.open, state: 'missed' }
      this.verdicts.push('missed')
    }
  }

  async until(condition: () => boolean | Promise<boolean>, seconds = 10): Promise<void> {
    for (let i = 0; i < seconds * 100; i++) {
      if (await condition()) return
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    throw new Error('it did not come about')
  }

  // ---- What the miner sees

  workers = async (): Promise<ChainWorker[]> => this.#read('workers', [...this.#workers])
  tagged = async (group: number, at: number, first: number): Promise<bigint> =>
    this.#read('tagged', this.taggedBits.get(`${group}/${at}/${first}`) ?? 0n)
  challenge = async (): Promise<ChainChallenge | undefined> => this.#read('challenge', this.open)
  audited: ChainRecord = noRecord
  earned: ChainRewards = { claimable: 3n, locked: 2n, paid: 1n }
  record = async (): Promise<ChainRecord> => this.#read('record', this.audited)
  rewards = async (): Promise<ChainRewards> => this.#read('rewards', this.earned)
  workerChanges = (init: FollowInit): AsyncIterable<unknown> => this.#follow(this.#workerChanges, init)
  challenged = (init: FollowInit): AsyncIterable<ChallengedEvent> => this.#follow(this.#challenged, init)

  async confirmTags(group: number, first: number, stripes: bigint, tagger: Address): Promise<void> {
    if (this.isDown) throw Object.assign(new Error('no node answers'), { name: 'ChainError', code: 'UNREACHABLE' })
    const known = this.#groups.get(group)!
    if (known.tagger !== tagger)
      throw Object.assign(new Error('not the tagger'), { name: 'ChainError', code: 'REVERTED' })
    await this.confirming
    this.#setTagged(group, first, (before) => before | stripes)
    this.calls.push(`confirm ${group}/${first}/${stripes}`)
  }

  async reportLoss(group: number, first: number, stripes: bigint): Promise<void> {
    if (this.refusesLosses) throw new ChainError('REVERTED', 'no seat in that group')
    if (this.lossFailures-- > 0) throw Object.assign(new Error('busy'), { name: 'ChainError', code: 'BUSY' })
    this.#setTagged(group, first, (before) => before & ~stripes)
    this.calls.push(`loss ${group}/${first}/${stripes}`)
  }

  async submitProof(answer: {
    seed: Uint8Array
    entries: Uint8Array
    dropped: bigint
    proof: Uint8Array
  }): Promise<void> {
    if (this.submitFailures-- > 0) throw Object.assign(new Error('busy'), { name: 'ChainError', code: 'BUSY' })
    if (this.open?.state !== 'open' || !equalBytes(answer.seed, this.open.seed))
      throw Object.assign(new Error('no'), { name: 'ChainError', code: 'REVERTED' })
    const entries = decodeEntries(answer.entries)
    entries.forEach(({ group, stripe }, i) => {
      if (((answer.dropped >> BigInt(i)) & 1n) === 0n) return
      if (this.#stripes.get(`${group}/${stripe}`)?.state === 'released') return
      if (this.#groups.get(group)?.tagger !== this.open?.worker) return
      throw Object.assign(new Error(`entry ${i} must be proven`), { name: 'ChainError', code: 'REVERTED' })
    })
    const places = entries.map((place) => ({ ...place, seat: seat(this.#seatIn(place.group)) }))
    const { sectorCount, challengedCount } = minimal.audit
    const params = { chainId: minimal.chainId, sectorCount, challengedCount }
    const challenge = withoutEntries(challengeOver(this.open.seed, places, params), answer.dropped)
    const ok = challenge.entries.length === 0 || verify({ proof: answer.proof, challenge, key: this.#taggerKey! }).ok
    this.open = { ...this.open, state: ok ? 'passed' : 'failed' }
    this.verdicts.push(`${ok ? 'passed' : 'failed'} ${places.length} ${answer.dropped}`)
  }

  readonly calls: string[] = []

  #setTagged(group: number, first: number, change: (before: bigint) => bigint): void {
    const name = `${group}/${this.#seatIn(group)}/${first}`
    this.taggedBits.set(name, change(this.taggedBits.get(name) ?? 0n))
  }

  #seatIn(group: number): number {
    return this.#groups.get(group)!.peerKeys.findIndex((key) => equalBytes(key, this.entry!.peerKey))
  }

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
    const at = { stake, missingStake: 0n, registeredAtBlock: this.height }
    this.entry = { peerKey, addresses, region, state: 'active', ...counts, ...at }
  }

  async topUp(amount: bigint): Promise<void> {
    const entry = this.entry!
    const missingStake = entry.missingStake - amount
    this.entry = { ...entry, stake: entry.stake + amount, missingStake, state: missingStake > 0n ? 'frozen' : 'active' }
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
        // It may have aborted while the last event was taken.
        if (signal.aborted) resolve()
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
