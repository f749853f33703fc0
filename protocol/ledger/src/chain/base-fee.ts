import type { BlockHeader } from './header.ts'

/** A full block raises the base fee by 1/8, an empty one lowers it by as much (EIP-1559). */
const CHANGE_DENOMINATOR = 8n
/** Blocks have twice the gas they aim at. */
const ELASTICITY = 2n

/** Base fee of the block after `parent`, in wei. It never falls below 7: an eighth of that is nothing. */
export function nextBaseFee(parent: Pick<BlockHeader, 'baseFee' | 'gasUsed' | 'gasLimit'>): bigint {
  const target = parent.gasLimit / ELASTICITY
  if (parent.gasUsed === target) return parent.baseFee
  if (parent.gasUsed > target) {
    const rise = (parent.baseFee * (parent.gasUsed - target)) / target / CHANGE_DENOMINATOR
    return parent.baseFee + (rise > 1n ? rise : 1n)
  }
  return parent.baseFee - (parent.baseFee * (target - parent.gasUsed)) / target / CHANGE_DENOMINATOR
}
