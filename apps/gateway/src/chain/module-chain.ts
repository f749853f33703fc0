import { bytesToHex, hexToBytes, isZero } from '@cumulus/bytes'
import { type ChainClient, ChainError } from '@cumulus/chain'
import type { Params } from '@cumulus/params'
import {
  type ChainReservation,
  type ChainStripe,
  type GatewayChain,
  GatewayChainError,
  type GatewayChainErrorCode,
} from './gateway-chain.ts'

const STRIPES_PER_READ = 256
const RESERVATIONS_PER_READ = 100n
const stripeStates: Record<number, ChainStripe['state']> = { 1: 'reserved', 2: 'committed', 3: 'released' }

/** The gateway's view of the chain, by the protocol modules. */
export function moduleChain(client: ChainClient, urls: readonly string[], params: Params): GatewayChain {
  const clock = new EpochClock(urls, params)
  return {
    account: client.account,

    epoch: () => clock.epoch(),

    group: (id) =>
      told(async () => {
        const { classId, peerKeys } = await client.read('Storage', 'groupOf', [id])
        if (peerKeys.length === 0) throw new GatewayChainError('REFUSED', `there is no group ${id}`)
        return { id, classId, peerKeys: peerKeys.map(hexToBytes) }
      }),

    reserve: (territory, classId, stripeCount) =>
      told(async () => {
        const { events } = await client.send('Storage', 'reserve', [territory, classId, stripeCount])
        const event = events.find((one) => one.module === 'Storage' && one.name === 'Reserved')
        if (event?.module !== 'Storage' || event.name !== 'Reserved') {
          throw new GatewayChainError('REFUSED', 'a reservation was paid for and not confirmed')
        }
        return asReservation(await client.read('Storage', 'reservationOf', [event.args.reservation]))
      }),

    commit: (reservation, stripes) =>
      told(async () => {
        const commits = stripes.map(({ stripe, root, seats, signatures }) => ({
          stripe,
          root: bytesToHex(root),
          seats: BigInt(seats),
          signatures: bytesToHex(signatures),
        }))
        await client.send('Storage', 'commit', [reservation, commits])
      }),

    release: (group, stripes) =>
      told(async () => {
        await client.send('Storage', 'release', [group, [...stripes]])
      }),

    reservationsOf: (territory) =>
      told(async () => {
        const all: ChainReservation[] = []
        for (let offset = 0n; ; offset += RESERVATIONS_PER_READ) {
          const page = await client.read('Storage', 'reservationsOf', [territory, offset, RESERVATIONS_PER_READ])
          all.push(...page.map(asReservation))
          if (page.length < Number(RESERVATIONS_PER_READ)) return all
        }
      }),

    stripesOf: (group, first, count) =>
      told(async () => {
        const all: ChainStripe[] = []
        for (let at = 0; at < count; at += STRIPES_PER_READ) {
          const page = await client.read('Storage', 'stripesOf', [
            group,
            first + at,
            Math.min(STRIPES_PER_READ, count - at),
          ])
          for (const { state, root, territory } of page) {
            all.push({ state: stripeStates[state] ?? 'none', root: hexToBytes(root), territory })
          }
        }
        return all
      }),

    territory: (id) =>
      told(async () => {
        const { owner, name, capacityBytes, usedBytes, lockedBytes } = await client.read('Territories', 'territoryOf', [
          id,
        ])
        if (isZero(hexToBytes(owner))) return undefined
        return { id, owner, name, capacityBytes, usedBytes, lockedBytes }
      }),
  }
}

function asReservation(reservation: {
  id: bigint
  territory: bigint
  gateway: `0x${string}`
  group: number
  firstStripe: number
  stripeCount: number
  expiresAtEpoch: bigint
  closed: boolean
}): ChainReservation {
  return { ...reservation, expiresAtEpoch: Number(reservation.expiresAtEpoch) }
}

const codes: Readonly<Record<string, GatewayChainErrorCode>> = {
  OverCapacity: 'OVER_CAPACITY',
  OverQuota: 'OVER_CAPACITY',
  NoRoom: 'NO_SPACE',
  BelowQuorum: 'EXPIRED',
  BadReceipt: 'EXPIRED',
  RootTaken: 'EXPIRED',
  'reservation has expired': 'EXPIRED',
  'no such reservation': 'EXPIRED',
  'neither the owner nor the gateway that reserved': 'NOT_ALLOWED',
  'grant has expired': 'NOT_ALLOWED',
  'territory is not active': 'NOT_ALLOWED',
  'neither the owner nor a gateway with a grant': 'NOT_ALLOWED',
  UNREACHABLE: 'UNREACHABLE',
  BUSY: 'UNREACHABLE',
}

const argumentNames: Readonly<Record<string, readonly string[]>> = {
  OverCapacity: ['neededBytes', 'freeBytes', 'priceToExpand'],
  OverQuota: ['neededBytes', 'freeBytes'],
  NoRoom: ['neededMiners', 'foundMiners', 'stripes'],
}

/** The chain's reasons in the words of this package. */
async function told<Value>(ask: () => Promise<Value>): Promise<Value> {
  try {
    return await ask()
  } catch (error) {
    if (!(error instanceof ChainError)) throw error
    const { errorName = '', reason = '', args, message } = error
    const code = codes[errorName] ?? codes[reason] ?? codes[error.code] ?? 'REFUSED'
    const names = argumentNames[errorName] ?? []
    const details = Object.fromEntries(names.map((name, i) => [name, String(args[i])]))
    throw new GatewayChainError(code, message, details, { cause: error })
  }
}

const EPOCH_ASK_MS = 5_000
const ANSWER_BYTES_MAX = 64 * 2 ** 10

/**
 * The epoch by consensus time: it is a matter of block timestamps, which no module tells. Asked every few seconds.
 * Timestamps are whole seconds, so the answer may be one epoch early near its end.
 */
class EpochClock {
  readonly #urls: readonly string[]
  readonly #epochMs: number
  #genesisMs: number | undefined
  #known: { epoch: number; atMs: number } | undefined

  constructor(urls: readonly string[], params: Params) {
    this.#urls = urls
    this.#epochMs = params.slotMs * params.slotsPerEpoch
  }

  async epoch(): Promise<number> {
    if (this.#known && performance.now() - this.#known.atMs < EPOCH_ASK_MS) return this.#known.epoch
    this.#genesisMs ??= await this.#timestampMs('0x0')
    const epoch = Math.floor(((await this.#timestampMs('latest')) - this.#genesisMs) / this.#epochMs)
    this.#known = { epoch, atMs: performance.now() }
    return epoch
  }

  async #timestampMs(block: string): Promise<number> {
    let failure: unknown
    for (const url of this.#urls) {
      try {
        const response = await fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_getBlockByNumber', params: [block, false] }),
          signal: AbortSignal.timeout(5_000),
        })
        const text = await response.text()
        if (text.length > ANSWER_BYTES_MAX) throw new Error('the answer is too long')
        const { result } = JSON.parse(text) as { result?: { timestamp?: string } }
        if (typeof result?.timestamp !== 'string') throw new Error('no timestamp in the answer')
        return Number(BigInt(result.timestamp)) * 1000
      } catch (error) {
        failure = error
      }
    }
    throw new GatewayChainError('UNREACHABLE', 'no node tells the time of its blocks', {}, { cause: failure })
  }
}
