import type { Block, BlockRef, Evidence, HeaderVote } from './block.ts'
import type { CoinShare, RoundCoin } from './coin.ts'
import type { Message } from './message.ts'
import type { RefusalCode } from './validity.ts'

/** What happens to a member. `nowMs` is its clock, which may be wrong and is never taken back. */
export type R2sEvent = { readonly nowMs: number } & (
  | { readonly kind: 'message'; readonly from: number; readonly message: Message }
  /** Bytes of a stranger who is said to be member `from`. */
  | { readonly kind: 'frame'; readonly from: number; readonly bytes: Uint8Array }
  /** A link to this member is up (again): what was under way may be lost. */
  | { readonly kind: 'connected'; readonly peer: number }
  /** The own block of this round, and everything to store before it, is on the disk. Answers `persist`. */
  | { readonly kind: 'persisted'; readonly round: number }
  /** Contents of the own block of this round. Answers `propose`. */
  | {
      readonly kind: 'proposal'
      readonly round: number
      readonly payload: Uint8Array
      readonly txCount: number
      readonly votes: readonly HeaderVote[]
      readonly coinShare: Uint8Array | null
    }
  /** Answers `combine`: the value, or whose shares are wrong. */
  | {
      readonly kind: 'coin'
      readonly round: number
      readonly value: Uint8Array | null
      readonly badShares: readonly number[]
    }
  /** Answers `verify-coin`. */
  | { readonly kind: 'coin-verified'; readonly round: number; readonly isRight: boolean }
  /** Transactions, header votes or duties of the era wait (or no longer wait) for an own block. */
  | { readonly kind: 'work'; readonly pending: boolean }
  /** Execution or certificates are (or are no longer) far behind: own blocks carry no payload meanwhile. */
  | { readonly kind: 'pressure'; readonly high: boolean }
  /** Everything below the checkpoint is known from certified chain blocks (SPEC 2.10). */
  | { readonly kind: 'adopt'; readonly checkpoint: Checkpoint }
  | { readonly kind: 'tick' }
)

/** What the member wants done, in this order. */
export type R2sEffect =
  /**
   * Append the block to the log and make the log durable, then say `persisted`. The member sends nothing of this block
   * before: a block that was sent and forgotten would be signed a second time, differently.
   */
  | { readonly kind: 'persist'; readonly block: Block }
  /** Append to the log; it need not be durable, for it can be fetched again. */
  | { readonly kind: 'store'; readonly block: Block }
  /** The same for a coin: whoever needs only to sum it again would not need it, but others may ask for it. */
  | { readonly kind: 'store-coin'; readonly coin: RoundCoin }
  | { readonly kind: 'send'; readonly to: number; readonly message: Message }
  | { readonly kind: 'broadcast'; readonly message: Message }
  /** Say `proposal`. `coinRound`: the coin this block must carry a share of. At most `payloadBytesMax`, which may be 0. */
  | {
      readonly kind: 'propose'
      readonly round: number
      readonly coinRound: number | null
      readonly payloadBytesMax: number
    }
  /** Say `coin`. */
  | { readonly kind: 'combine'; readonly round: number; readonly shares: readonly CoinShare[] }
  /** Somebody showed this. Say `coin-verified`. */
  | { readonly kind: 'verify-coin'; readonly round: number; readonly value: Uint8Array }
  | { readonly kind: 'commit'; readonly commit: Commit }
  /** Say `tick` at this time. Replaces the last one. */
  | { readonly kind: 'wake'; readonly atMs: number }
  /** An author signed two blocks of one round. Told once per author. */
  | { readonly kind: 'equivocation'; readonly evidence: Evidence }
  /** These authors signed coin shares that are none. */
  | { readonly kind: 'bad-shares'; readonly round: number; readonly authors: readonly number[] }
  /** `from` sent something no honest member sends. */
  | { readonly kind: 'refuse'; readonly from: number; readonly code: RefusalCode }
  /**
   * Own payload that will never be ordered, of a block or one that was not made: its transactions go back to the mempool. After
   * `adopt` also such as may be in the rounds passed over, whose chain blocks tell.
   */
  | { readonly kind: 'returned'; readonly payload: Uint8Array; readonly txCount: number }
  /** More than f members have collected away what is missing here: fetch chain blocks and `adopt`. */
  | { readonly kind: 'behind'; readonly gcRound: number }
  /**
   * Somebody else signs with this member's key, or its log lies: no own block any more in this era. Make it durable before
   * what comes later in the list: the log with the other's block in it does not tell what else was signed.
   */
  | { readonly kind: 'silenced'; readonly round: number }
  /** The fault bound is broken (SPEC 2.7). Keep everything, stop. The core ignores all further events. */
  | { readonly kind: 'halt'; readonly code: string; readonly round: number; readonly author: number }

export interface SlotDecision {
  readonly author: number
  /** The committed block's digest, or null where the slot is skipped. */
  readonly digest: Uint8Array | null
  /** Decided by its own wave or, later, by an anchor. Members may differ in this, and only in this. */
  readonly direct: boolean
}

/** One round, decided: the same at every honest member. Rounds come in order, without a gap, some with no block. */
export interface Commit {
  readonly round: number
  readonly coin: Uint8Array
  readonly slots: readonly SlotDecision[]
  /** In order. */
  readonly blocks: readonly Block[]
  /** Lower median of the times of the first committed leader's parents of the round before; 0 if none was committed. */
  readonly medianTsMs: number
  readonly gcRound: number
  /** Authors of whom this commit carries evidence for the first time. */
  readonly ejected: readonly number[]
  /** Where a member stands who has this commit and all before: the same at every honest member, byte for byte. */
  readonly checkpoint: Checkpoint
}

/** Where a member may join the order without the rounds before (SPEC 2.10). Trust comes from a chain certificate. */
export interface Checkpoint {
  /** All rounds below are decided. */
  readonly round: number
  readonly gcRound: number
  /** Linearised blocks above `gcRound`, in the order of the commits. */
  readonly output: readonly BlockRef[]
  /** By author: from this round on his blocks are left out of the order. */
  readonly ejectedFrom: readonly (number | null)[]
}
