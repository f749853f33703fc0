import type { G1Vector } from '@cumulus/bls'
import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { blake3 } from '@cumulus/hash'
import { minimal, type Params } from '@cumulus/params'
import {
  blockBytes,
  type Challenge,
  challengeOver,
  decodeEntries,
  decodePowers,
  encodePowers,
  encodeTaggerKey,
  type FragmentPlace,
  keyGen,
  type PodrParams,
  ProofBuilder,
  powersHash,
  TAG_BYTES,
  Tagger,
  type TaggerSecret,
  taggerKeyOf,
} from '@cumulus/podr2'
import { type Address, type GroupId, groupId, type Seat, type StripeNumber, seat, stripeNumber } from '@cumulus/types'
import { type AnyModule, type ModuleGenesis, ModuleRegistry } from '../../src/framework/index.ts'
import {
  attestationKind,
  audit,
  modulesFor,
  registrationMessage,
  storage,
  teeWorkers,
} from '../../src/modules/index.ts'
import { nobody } from '../framework/test-chain.ts'
import { account, bytes32, owner, peerKeyOf, TestNetwork } from './test-network.ts'

/** Bytes that look random, the same for the same label. */
export function noise(byteLength: number, label: string): Uint8Array {
  const out = new Uint8Array(byteLength)
  for (let at = 0; at < byteLength; at += 32) {
    out.set(blake3(new TextEncoder().encode(`${label}/${at}`)).subarray(0, Math.min(32, byteLength - at)), at)
  }
  return out
}

export const podrParams: PodrParams = { chainId: minimal.chainId, ...minimal.audit }

/** A TEE worker with a real key. What takes long to make is made when it is needed. */
export class TestWorker {
  readonly account: Address
  readonly #secret: TaggerSecret
  #powers: G1Vector | undefined
  #tagger: Tagger | undefined

  constructor(number: number, secretLabel = `worker ${number}`) {
    this.account = account(number)
    this.#secret = keyGen(noise(96, secretLabel))
  }

  get taggerKey(): `0x${string}` {
    return bytesToHex(encodeTaggerKey(this.#secret, registrationMessage(minimal.chainId, this.account)))
  }

  /** Nobody here fetches the powers: any hash will do. */
  get powersHash(): `0x${string}` {
    return bytesToHex(powersHash(new TextEncoder().encode(this.account)))
  }

  get powers(): G1Vector {
    this.#powers ??= decodePowers(
      encodePowers(this.#secret, podrParams.sectorCount),
      taggerKeyOf(this.#secret),
      podrParams.sectorCount,
    )
    return this.#powers
  }

  get tagger(): Tagger {
    this.#tagger ??= new Tagger(this.#secret, podrParams)
    return this.#tagger
  }
}

export const worker = new TestWorker(500)
export const otherWorker = new TestWorker(501)
export const candidate = account(600)

/** Groups of four seats, so that all goes quickly, and three slots to answer: everybody has its turn in the first of an epoch. */
export const small: Params = {
  ...minimal,
  audit: { ...minimal.audit, windowSlots: 3 },
  classes: {
    ...minimal.classes,
    standard: { ...minimal.classes.standard, dataCount: 2, seatCount: 4, writeQuorum: 3 },
  },
}

const FRAGMENT_BYTES = minimal.classes.standard.fragmentBytes
const BLOCK_BYTES = blockBytes(podrParams)

const knownFragments = new Map<string, Uint8Array>()

/** What a seat stores, and its tags: the same in every network. */
export function fragmentAt({ group, stripe, seat }: FragmentPlace): Uint8Array {
  const key = `${group}/${stripe}/${seat}`
  let fragment = knownFragments.get(key)
  if (!fragment) knownFragments.set(key, (fragment = noise(FRAGMENT_BYTES, key)))
  return fragment
}

const knownTags = new Map<string, Uint8Array>()

export function tagsAt(place: FragmentPlace, by: TestWorker): Uint8Array {
  const key = `${by.account}/${place.group}/${place.stripe}/${place.seat}`
  let tags = knownTags.get(key)
  if (!tags) knownTags.set(key, (tags = by.tagger.tagFragment(fragmentAt(place), place)))
  return tags
}

export function blockOf(bytes: Uint8Array, block: number): Uint8Array {
  return bytes.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES)
}

export interface Announced {
  readonly miner: Address
  readonly seed: `0x${string}`
  readonly entries: `0x${string}`
}

interface Event {
  readonly name: string
  readonly args: Record<string, unknown>
}

/** A chain whose time goes on, with workers, stored stripes, and miners that can prove them. */
export class AuditNetwork extends TestNetwork {
  readonly genesisTime: bigint
  /** The last announcement to each miner. */
  readonly announced = new Map<Address, Announced>()

  constructor({
    params = minimal as Params,
    minerCount = 12,
    units = 100,
    modules = modulesFor(params) as readonly AnyModule[],
    genesis = { attestation: { simulated: true, measurements: [] } } as ModuleGenesis,
  } = {}) {
    super({ params, minerCount, units, modules, genesis })
    this.genesisTime = this.block.timestamp
  }

  /** Ends the block and begins the next one, so many slots later. */
  tick(slots = 1): Event[] {
    const events = this.events(this.endBlock(), [audit, teeWorkers, storage])
    for (const { name, args } of events)
      if (name === 'Challenged') this.announced.set(lower(args['miner']), args as never)
    const { slotMs, slotsPerEpoch, epochsPerEra } = this.params
    const timestamp = this.block.timestamp + BigInt((slots * slotMs) / 1000)
    const number = this.block.number + 1n
    const elapsedSlots = Number((timestamp - this.genesisTime) * 1000n) / slotMs
    const epoch = Math.floor(elapsedSlots / slotsPerEpoch)
    const era = Math.floor(epoch / epochsPerEra)
    this.block = { ...this.block, timestamp, number, epoch, era, prevRandao: noise(32, `beacon ${number}`) }
    return events
  }

  /** What only some modules do at the end of a block. */
  endHooks(modules: readonly AnyModule[]): void {
    new ModuleRegistry(modules).onBlock(this.world, this.block, { coinbase: nobody, burnt: 0n })
  }

  /** Goes on to the first block of an epoch. */
  toEpoch(epoch: number): Event[] {
    const events: Event[] = []
    while (this.block.epoch < epoch) events.push(...this.tick())
    return events
  }

  registerWorker(by: TestWorker = worker, changes: object = {}, value = 0n) {
    const registration = {
      peerKey: bytesToHex(peerKeyOf(by.account).publicKey),
      addresses: '/ip4/127.0.0.1/tcp/2',
      modes: 3,
      candidate,
      taggerKey: by.taggerKey,
      powersHash: by.powersHash,
      attestation: attestationKind.simulated as number,
      quote: '0x' as const,
      collateral: '0x' as const,
      nonceBlock: 0n,
      peerSignature: this.peerSignature(by.account),
      ...changes,
    }
    return this.transact(teeWorkers, 'register', [registration], { from: by.account, value })
  }

  /** Reserves and commits stripes with receipts of the first `seatCount` seats; all of them are in one group. */
  store(
    stripes: number,
    territory = this.mint(),
    seatCount = this.params.classes.standard.seatCount,
  ): { group: number; stripes: number[] } {
    const { id, group, firstStripe } = this.reserve(territory, stripes)
    const numbers = Array.from({ length: stripes }, (_, i) => firstStripe + i)
    const seats = [...Array(seatCount).keys()]
    const commits = numbers.map((stripe) => {
      return this.receipts(group, stripe, { root: bytes32(BigInt(group * 2 ** 16 + stripe + 1)), seats })
    })
    this.call(storage, 'commit', [id, commits], { from: owner })
    return { group, stripes: numbers }
  }

  members(group: number): readonly Address[] {
    return this.call(storage, 'groupOf', [group]).members
  }

  taggerOf(group: number): Address {
    return this.call(storage, 'groupOf', [group]).tagger
  }

  confirm(miner: Address, group: number, stripes: readonly number[], tagger = this.taggerOf(group)) {
    const bits = stripes.reduce((sum, stripe) => sum | (1n << BigInt(stripe)), 0n)
    return this.transact(audit, 'confirmTags', [group, 0, bits, tagger], { from: miner })
  }

  /** Every member says that it has the tags of these stripes. */
  confirmAll({ group, stripes }: { group: number; stripes: readonly number[] }): void {
    for (const miner of this.members(group)) this.confirm(miner, group, stripes)
  }

  challengeOf(miner: Address) {
    return this.call(audit, 'challengeOf', [miner])
  }

  /** The challenge that was announced to a miner, as it sees it. */
  asked(miner: Address, { seed, entries } = this.announced.get(miner)!): Challenge {
    const places = decodeEntries(hexToBytes(entries)).map((place) => ({
      ...place,
      seat: seat(this.members(place.group).indexOf(miner)),
    }))
    return challengeOver(hexToBytes(seed), places, podrParams)
  }

  prove(challenge: Challenge, { by = worker, read = readHonestly as Reader } = {}): Uint8Array {
    const builder = new ProofBuilder(challenge)
    challenge.entries.forEach((entry, i) => {
      const { data, tag } = read(entry, by, i)
      builder.add(i, data, tag)
    })
    return builder.finish(by.powers)
  }

  submit(
    miner: Address,
    proof: Uint8Array,
    { dropped = 0n, entries = this.announced.get(miner)!.entries, seed = this.announced.get(miner)!.seed } = {},
  ) {
    return this.transact(audit, 'submitProof', [seed, entries, dropped, bytesToHex(proof)], { from: miner })
  }

  answer(miner: Address, options: { by?: TestWorker; read?: Reader } = {}) {
    return this.submit(miner, this.prove(this.asked(miner), options))
  }

  record(miner: Address) {
    const [failedInRow, missedInRow, passed, failed, missed, lastPassedEpoch] = this.call(audit, 'recordOf', [miner])
    return { failedInRow, missedInRow, passed, failed, missed, lastPassedEpoch }
  }

  rewards(miner: Address) {
    const [claimable, locked, paid] = this.call(audit, 'rewardsOf', [miner])
    return { claimable, locked, paid }
  }
}

export type Reader = (
  place: { group: GroupId; stripe: StripeNumber; seat: Seat; block: number },
  by: TestWorker,
  index: number,
) => { data: Uint8Array; tag: Uint8Array }

export const readHonestly: Reader = (place, by) => ({
  data: blockOf(fragmentAt(place), place.block),
  tag: tagsAt(place, by).subarray(place.block * TAG_BYTES, (place.block + 1) * TAG_BYTES),
})

export function placeOf(group: number, stripe: number, position: number): FragmentPlace {
  return { group: groupId(group), stripe: stripeNumber(stripe), seat: seat(position) }
}

function lower(value: unknown): Address {
  return String(value).toLowerCase() as Address
}
