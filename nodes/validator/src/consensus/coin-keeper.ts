import type { CoinRule, CoinShare } from '@cumulus/r2s'

/** The coin of an era as a member holds it (R²S, section 3). Answers may take their time: they come from another thread. */
export interface CoinKeeper {
  /** What the core must know. */
  readonly rule: CoinRule
  /** For status pages. */
  readonly mode: string
  /** This member's share of coin(round), or null where it holds no key. */
  share(round: number): Promise<Uint8Array | null>
  /** The value, or the authors of wrong shares. */
  combine(
    round: number,
    shares: readonly CoinShare[],
  ): Promise<{ readonly value: Uint8Array } | { readonly badShares: readonly number[] }>
  /** Whether `value` is coin(round). */
  verify(round: number, value: Uint8Array): Promise<boolean>
  close(): Promise<void>
}

/** A coin that anybody can compute: for fewer than four members, and where no key was dealt. No beacon. */
export function publicCoinKeeper(seed: Uint8Array): CoinKeeper {
  return {
    rule: { mode: 'public', seed },
    mode: 'public: everybody knows the order of leaders and all randomness in advance',
    share: async () => null,
    combine: async () => ({ badShares: [] }),
    verify: async () => false,
    close: async () => {},
  }
}
