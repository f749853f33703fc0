import { ByteWriter, concatBytes, utf8Encode } from '@cumulus/bytes'
import { sha256 } from '@cumulus/hash'

/**
 * SPEC 3: a random value per round that nobody knows before enough members have built their blocks of the decision
 * round. The core never computes with it: it asks for a share with `propose`, for the sum with `combine` and for a check with `verify-coin`, and
 * whoever runs the core answers from one of these, in a worker thread if it likes.
 */
export interface Coin {
  /** This member's share of coin(round), or null where it holds no key. */
  share(round: number): Uint8Array | null
  /**
   * The value of coin(round) from at least t shares, the same from whichever t. If the shares do not add up,
   * those that are wrong: their authors signed them.
   */
  combine(
    round: number,
    shares: readonly CoinShare[],
  ): { readonly value: Uint8Array } | { readonly badShares: readonly number[] }
  /** Whether `value` is coin(round). */
  verify(round: number, value: Uint8Array): boolean
}

export interface CoinShare {
  readonly author: number
  readonly share: Uint8Array
}

/** coin(round), known. */
export interface RoundCoin {
  readonly round: number
  /** 96 bytes. */
  readonly value: Uint8Array
}

/** What the core must know of the era's coin. */
export type CoinRule =
  /** n < 4, or the key generation failed: anybody can compute it. Safe; live while the network is not hostile. */
  | { readonly mode: 'public'; readonly seed: Uint8Array }
  | {
      readonly mode: 'threshold'
      /** Mask of members with a share of the key: their blocks must carry one. */
      readonly holders: number
      /** Whether the bytes are an element of the group. Whether it is the right one shows when shares are combined. */
      wellFormed(share: Uint8Array): boolean
    }

const PUBLIC_DOMAIN = utf8Encode('cumulus/coin/public/1')

/** coin(round) of an era without a key. */
export function publicCoin(seed: Uint8Array, round: number): Uint8Array {
  return sha256(concatBytes(PUBLIC_DOMAIN, seed, new ByteWriter(16).u32(round).finish()))
}

/**
 * Members in the order in which they lead: Fisher-Yates, drawing 32-bit words from SHA-256(coin | counter u32)
 * and again where a word would favour the small numbers.
 */
export function leaderOrder(coin: Uint8Array, size: number): Uint8Array {
  const order = Uint8Array.from({ length: size }, (_, member) => member)
  const input = new Uint8Array(coin.length + 4)
  input.set(coin)
  const counterView = new DataView(input.buffer, coin.length)
  let counter = 0
  let words: DataView | null = null
  let offset = 32
  const below = (limit: number): number => {
    const fair = 2 ** 32 - (2 ** 32 % limit)
    for (;;) {
      if (offset === 32 || words === null) {
        counterView.setUint32(0, counter++, true)
        const digest = sha256(input)
        words = new DataView(digest.buffer, digest.byteOffset, digest.byteLength)
        offset = 0
      }
      const word = words.getUint32(offset, true)
      offset += 4
      if (word < fair) return word % limit
    }
  }
  for (let i = size - 1; i > 0; i--) {
    const j = below(i + 1)
    const member = order[i]!
    order[i] = order[j]!
    order[j] = member
  }
  return order
}
