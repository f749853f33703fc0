import type { BlockHeader } from './header.ts'

/** The time between two blocks counts for what it is within these bounds. */
const ELAPSED_MS = { min: 50, max: 6_000 } as const
/** Using twice the target for `ELAPSED_MS.max` raises the base fee by 1/8, using nothing lowers it by as much. */
const CHANGE_DENOMINATOR = 8n

/**
 * Base fee of the block after `parent`, in wei: EIP-1559 with a target of `gasPerSecond` for the time since the block
 * before. Blocks come when there is something to order, now every 50 ms, now every 6 s; so a change is measured against
 * the gas of 6 s, whatever the spacing. Where blocks are 6 s apart this is EIP-1559 to the wei; elsewhere the fee after
 * a while depends on the gas used in it, not on how many blocks it came in. It never falls to 0: an eighth of 7 is nothing.
 *
 * @param elapsedMs between `parent` and the block before it
 */
export function nextBaseFee(
  parent: Pick<BlockHeader, 'baseFee' | 'gasUsed'>,
  elapsedMs: number,
  { gasPerSecond }: { gasPerSecond: bigint },
): bigint {
  const { baseFee, gasUsed } = parent
  const countedMs = Math.min(Math.max(elapsedMs, ELAPSED_MS.min), ELAPSED_MS.max)
  const target = (gasPerSecond * BigInt(countedMs)) / 1000n
  const unit = ((gasPerSecond * BigInt(ELAPSED_MS.max)) / 1000n) * CHANGE_DENOMINATOR
  if (gasUsed === target) return baseFee
  if (gasUsed < target) return baseFee - (baseFee * (target - gasUsed)) / unit
  const rise = (baseFee * (gasUsed - target)) / unit
  return baseFee + (rise > 1n ? rise : 1n)
}
