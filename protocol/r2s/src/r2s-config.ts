import type { Block } from './block.ts'
import type { CoinRule, RoundCoin } from './coin.ts'
import type { Checkpoint } from './events.ts'
import type { R2sParams } from './r2s-params.ts'

export interface R2sConfig {
  readonly chainId: bigint
  readonly era: number
  /** Hash of the certified last header of the era before. */
  readonly eraAnchor: Uint8Array
  readonly committeeSize: number
  /** This member's seat. */
  readonly member: number
  readonly params: R2sParams
  readonly coin: CoinRule
  /** Ed25519 of this member. */
  sign(message: Uint8Array): Uint8Array
  /** Ed25519 of any member. */
  verify(author: number, message: Uint8Array, signature: Uint8Array): boolean
}

/**
 * How a member comes to life. `fresh`: it certainly never signed anything in this era. `log`: this is what its log
 * holds, everything durable included. `lost`: it may have signed blocks it knows nothing of.
 */
export type R2sStart = {
  /** It had fallen silent (`silenced`), and stays so. */
  readonly isSilenced?: boolean
} & (
  | { readonly kind: 'fresh' }
  | {
      readonly kind: 'log'
      readonly checkpoint: Checkpoint | null
      readonly blocks: Iterable<Block>
      readonly coins: Iterable<RoundCoin>
    }
  | { readonly kind: 'lost' }
)
