import { bytesToPlainHex, equalBytes } from '@cumulus/bytes'
import { RemoteError } from '@cumulus/network'
import type { Address } from '@cumulus/types'
import { LruMap } from './lru-map.ts'
import type { ChainGateway, ChainGroup, ChainStripe, MinerChain, RegisteredPeer } from './miner-chain.ts'

/** Reservations are at most 256 stripes long: some 20 KiB each. */
const RESERVATIONS_MAX = 1024
const GROUPS_MAX = 4096
const GRANTS_MAX = 4096
/** What the chain said no to is asked again after this. */
const REFUSAL_MS = 1000
/** What it said yes to may have changed after this; events make most changes known at once. */
const APPROVAL_MS = 60_000

interface Cached<Value> {
  readonly value: Value
  readonly atMs: number
}

interface Range {
  readonly first: number
  /** By stripe − first. Kept up to date by events. */
  readonly stripes: ChainStripe[]
}

/** Who may ask this miner for what: answered by the chain, from memory where it was asked before. */
export class Authority {
  readonly #chain: MinerChain
  readonly #peerKey: Uint8Array
  readonly #now: () => number
  #gateways = new Map<string, Address>()
  #workers = new Map<string, Address>()
  /** Peer keys of TEE workers that serve. */
  #servers = new Set<string>()
  readonly #groups = new LruMap<number, Cached<ChainGroup>>(GROUPS_MAX)
  /** By `group/reservation`. */
  readonly #ranges = new LruMap<string, Cached<Range>>(RESERVATIONS_MAX)
  /** By `group/stripe`: where its range is, or that it has none. */
  readonly #rangeOf = new LruMap<string, Cached<string | undefined>>(RESERVATIONS_MAX * 64)
  readonly #grants = new LruMap<string, Cached<boolean>>(GRANTS_MAX)
  /** Requests under way: twelve fragments that arrive together ask once. */
  readonly #asking = new Map<string, Promise<unknown>>()

  constructor(chain: MinerChain, peerKey: Uint8Array, now: () => number = () => performance.now()) {
    this.#chain = chain
    this.#peerKey = peerKey
    this.#now = now
  }

  setGateways(gateways: readonly ChainGateway[]): void {
    this.#gateways = new Map(gateways.map(({ peerKey, account }) => [bytesToPlainHex(peerKey), account]))
  }

  /** Account of the gateway with this peer key. @throws RemoteError UNKNOWN_GATEWAY */
  gateway(peerKey: Uint8Array): Address {
    const account = this.#gateways.get(bytesToPlainHex(peerKey))
    if (!account) throw new RemoteError('UNKNOWN_GATEWAY', 'no gateway is registered with this peer key')
    return account
  }

  /** Whoever may read: gateways, and TEE workers whose attestation is in force. @throws RemoteError UNKNOWN_GATEWAY */
  reader(peerKey: Uint8Array): void {
    if (!this.#servers.has(bytesToPlainHex(peerKey))) this.gateway(peerKey)
  }

  /** Whether this is a registered gateway, or a TEE worker that serves. */
  isReader(peerKey: Uint8Array): boolean {
    const name = bytesToPlainHex(peerKey)
    return this.#servers.has(name) || this.#gateways.has(name)
  }

  setWorkers(workers: readonly (RegisteredPeer & { readonly isServing: boolean })[]): void {
    const serving = workers.filter(({ isServing }) => isServing)
    this.#servers = new Set(serving.map(({ peerKey }) => bytesToPlainHex(peerKey)))
    this.#workers = new Map(workers.map(({ peerKey, account }) => [bytesToPlainHex(peerKey), account]))
  }

  /** The group, if the seat in it is ours. @throws RemoteError NOT_YOUR_SEAT */
  async seat(group: number, seat: number): Promise<ChainGroup> {
    const isOurs = (known: ChainGroup): boolean => this.seatIn(known) === seat
    const known = await this.group(group, isOurs)
    if (isOurs(known)) return known
    throw new RemoteError('NOT_YOUR_SEAT', 'this miner does not hold that seat', { group, seat })
  }

  /** Our seat in a group, if there is one. */
  seatIn(group: ChainGroup): number | undefined {
    const seat = group.peerKeys.findIndex((key) => equalBytes(key, this.#peerKey))
    return seat < 0 ? undefined : seat
  }

  /** The group whose tags this TEE worker makes. @throws RemoteError UNKNOWN_WORKER | NOT_TAGGER */
  async tagger(group: number, peerKey: Uint8Array): Promise<Address> {
    const account = this.#workers.get(bytesToPlainHex(peerKey))
    if (!account) throw new RemoteError('UNKNOWN_WORKER', 'no TEE worker is registered with this peer key')
    const tags = (known: ChainGroup): boolean => known.tagger.toLowerCase() === account.toLowerCase()
    if (tags(await this.group(group, tags))) return account
    throw new RemoteError('NOT_TAGGER', 'another TEE worker makes the tags of this group', { group })
  }

  /** As the chain has it: what is known is asked again after a minute, and where `suits` says no after a second. */
  async group(group: number, suits: (known: ChainGroup) => boolean = () => true): Promise<ChainGroup> {
    let cached = this.#groups.get(group)
    const lifeMs = cached && suits(cached.value) ? APPROVAL_MS : REFUSAL_MS
    if (!cached || this.#now() - cached.atMs > lifeMs) {
      const known = await this.#once(`group/${group}`, () => this.#chain.group(group))
      cached = { value: known ?? { classId: 0, peerKeys: [], tagger: none.gateway }, atMs: this.#now() }
      this.#groups.set(group, cached)
    }
    return cached.value
  }

  /**
   * Whether this gateway may put this segment: it holds the reservation of the stripe, or the chain has committed the
   * stripe with just this root, so that whoever brings it brings the right one.
   *
   * @throws RemoteError NO_RESERVATION | STRIPE_RELEASED | WRONG_ROOT
   */
  async put(gateway: Address, group: number, stripe: number, root: () => Uint8Array): Promise<void> {
    const known = await this.#stripe(group, stripe, APPROVAL_MS)
    const refusal = refusalOf(known.value, gateway, group, stripe, root)
    if (!refusal) return
    if (this.#now() - known.atMs <= REFUSAL_MS) throw refusal
    const fresh = refusalOf((await this.#stripe(group, stripe, 0)).value, gateway, group, stripe, root)
    if (fresh) throw fresh
  }

  /** As the chain has it now. */
  async freshStripe(group: number, stripe: number): Promise<ChainStripe> {
    return (await this.#stripe(group, stripe, 0)).value
  }

  /** Whether the gateway works for the territory. @throws RemoteError NOT_GRANTED */
  async territory(territory: bigint, gateway: Address): Promise<void> {
    const name = `${territory}/${gateway}`
    let cached = this.#grants.get(name)
    if (!cached || this.#now() - cached.atMs > (cached.value ? APPROVAL_MS : REFUSAL_MS)) {
      const value = await this.#once(`grant/${name}`, () => this.#chain.mayUse(territory, gateway))
      cached = { value, atMs: this.#now() }
      this.#grants.set(name, cached)
    }
    if (!cached.value) throw new RemoteError('NOT_GRANTED', 'the gateway may not use this territory', { territory })
  }

  /** What an event says of a stripe. */
  learn(group: number, stripe: number, change: Pick<ChainStripe, 'state'> & { readonly root?: Uint8Array }): void {
    const name = this.#rangeOf.get(`${group}/${stripe}`)?.value
    const range = name === undefined ? undefined : this.#ranges.get(name)?.value
    const known = range?.stripes[stripe - range.first]
    if (range && known) {
      range.stripes[stripe - range.first] = { ...known, state: change.state, root: change.root ?? known.root }
    }
  }

  async #stripe(group: number, stripe: number, ageMsMax: number): Promise<Cached<ChainStripe>> {
    const place = this.#rangeOf.get(`${group}/${stripe}`)
    const range = place?.value === undefined ? undefined : this.#ranges.get(place.value)
    const value = range?.value.stripes[stripe - range.value.first]
    if (range && value && this.#now() - range.atMs < ageMsMax) return { value, atMs: range.atMs }
    if (place && place.value === undefined && this.#now() - place.atMs < Math.min(ageMsMax, REFUSAL_MS)) {
      return { value: none, atMs: place.atMs }
    }
    return this.#once(`stripe/${group}/${stripe}`, () => this.#fetch(group, stripe))
  }

  /** Asks the chain for the whole reservation that a stripe belongs to: its neighbours come next. */
  async #fetch(group: number, stripe: number): Promise<Cached<ChainStripe>> {
    const [one] = await this.#chain.stripes(group, stripe, 1)
    const atMs = this.#now()
    if (!one || one.state === 'none') {
      this.#rangeOf.set(`${group}/${stripe}`, { value: undefined, atMs })
      return { value: none, atMs }
    }
    const name = `${group}/${one.reservation}`
    const reservation = await this.#chain.reservation(one.reservation)
    if (!reservation || reservation.group !== group) return { value: one, atMs }
    const { firstStripe: first, stripeCount } = reservation
    const stripes = await this.#once(`range/${name}`, () => this.#chain.stripes(group, first, stripeCount))
    this.#ranges.set(name, { value: { first, stripes: [...stripes] }, atMs })
    for (let i = 0; i < stripes.length; i++) this.#rangeOf.set(`${group}/${first + i}`, { value: name, atMs })
    return { value: stripes[stripe - first] ?? one, atMs }
  }

  #once<Value>(name: string, ask: () => Promise<Value>): Promise<Value> {
    const known = this.#asking.get(name) as Promise<Value> | undefined
    if (known) return known
    const asking = ask().finally(() => this.#asking.delete(name))
    this.#asking.set(name, asking)
    return asking
  }
}

const none: ChainStripe = {
  state: 'none',
  root: new Uint8Array(32),
  reservation: 0n,
  gateway: '0x0000000000000000000000000000000000000000',
}

function refusalOf(
  known: ChainStripe,
  gateway: Address,
  group: number,
  stripe: number,
  root: () => Uint8Array,
): RemoteError | undefined {
  switch (known.state) {
    case 'none':
      return new RemoteError('NO_RESERVATION', 'nobody has reserved this stripe', { group, stripe })
    case 'released':
      return new RemoteError('STRIPE_RELEASED', 'this stripe holds nothing any more', { group, stripe })
    case 'reserved':
      if (known.gateway.toLowerCase() === gateway.toLowerCase()) return undefined
      return new RemoteError('NO_RESERVATION', 'another gateway has reserved this stripe', { group, stripe })
    case 'committed':
      if (equalBytes(known.root, root())) return undefined
      return new RemoteError('WRONG_ROOT', 'the chain has another segment in this stripe', { group, stripe })
  }
}
