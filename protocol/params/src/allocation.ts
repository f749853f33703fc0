import { mainnet } from './presets.ts'

/** A part of all tokens that a main net gives out in its first chain block. */
export interface Allocation {
  readonly name: string
  /** Of the cap, in thousandths. */
  readonly permille: number
  /** Of the part: free at once, in percent. The rest comes free evenly, or at the end, in so many months. */
  readonly atOncePercent: number
  readonly months: number
}

/**
 * Who gets what a genesis gives out: 55 % of the cap. The other 45 % are storage nodes' (30 %) and consensus nodes' (15 %)
 * and come from the schedule of issuance, which stays below that. CESS makes 35 % in its genesis block and the rest of these
 * parts as they come free; here all are made at once, and waiting is the business of the contracts that get them.
 *
 * Source: https://doc.cess.network/tokenomics/tokendistribution, read in November 2026
 */
export const mainnetAllocations: readonly Allocation[] = [
  { name: 'team and advisers', permille: 125, atOncePercent: 16, months: 72 },
  { name: 'ecosystem and community', permille: 120, atOncePercent: 100, months: 0 },
  { name: 'early backers', permille: 100, atOncePercent: 20, months: 48 },
  { name: 'foundation', permille: 100, atOncePercent: 20, months: 48 },
  { name: 'market development and liquidity', permille: 55, atOncePercent: 100, months: 0 },
  { name: 'influencers', permille: 50, atOncePercent: 60, months: 6 },
]

/** Wei of a part. */
export function allocationAmount({ permille }: Allocation): bigint {
  return (mainnet.economy.supplyCap * BigInt(permille)) / 1000n
}
