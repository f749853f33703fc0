import type { Economy } from '@cumulus/params'

/** After so many halvings less than a wei an era is left of 2^70 tokens. */
const HALVINGS_MAX = 256

/**
 * What the schedule issues for one era, in wei. Years count eras from genesis. Within a period of `yearsPerHalving`
 * each year issues `yearlyDecayPermille` of the year before, and each period half of the period before. Rounded down at
 * every step, so that no sum of eras exceeds what the real numbers add up to.
 *
 * Source: CESS white paper §4.4 (halving every four years, yearly decay inside a period).
 */
export function eraIssuance(economy: Economy, era: number): bigint {
  const year = Math.floor(era / economy.erasPerYear)
  const halvings = Math.floor(year / economy.yearsPerHalving)
  if (halvings > HALVINGS_MAX) return 0n
  let issuance = economy.firstEraIssuance >> BigInt(halvings)
  for (let i = year % economy.yearsPerHalving; i > 0; i--) {
    issuance = (issuance * BigInt(economy.yearlyDecayPermille)) / 1000n
  }
  return issuance
}

/** Cuts `amount` in proportion to `weights`, exactly: what rounding leaves goes to the first weight that is not zero. */
export function divide(amount: bigint, weights: readonly bigint[]): bigint[] {
  const sum = weights.reduce((total, weight) => total + weight, 0n)
  if (sum === 0n) return weights.map(() => 0n)
  const parts = weights.map((weight) => (amount * weight) / sum)
  const first = weights.findIndex((weight) => weight > 0n)
  parts[first]! += amount - parts.reduce((total, part) => total + part, 0n)
  return parts
}
