import { SECTOR_BYTES } from '@cumulus/polynomial'
import { PodrError } from './podr-error.ts'

/** What the parties of one network agree on. */
export interface PodrParams {
  /** Bound into every name, so that no tag serves two networks. */
  readonly chainId: number
  /** S: sectors of one block, 2 to 65,536. A tag stands for one block. */
  readonly sectorCount: number
  /** c: blocks of one challenge, 1 to 10,000. */
  readonly challengedCount: number
}

/**
 * 983,040 bytes a block: nine blocks, 432 bytes of tags, for a fragment of 8 MiB. 100 blocks find a loss of 1 % with 63 %.

 */
export const MAINNET_SECTOR_COUNT = 32_768
export const MAINNET_CHALLENGED_COUNT = 100

/** Most blocks of one fragment: block numbers are 16 bits in names. */
export const BLOCK_COUNT_MAX = 65_536

/** Bytes of a full block. */
export function blockBytes(params: PodrParams): number {
  return params.sectorCount * SECTOR_BYTES
}

/** Blocks of a fragment; the last one is filled up with zeros. */
export function blockCount(fragmentBytes: number, params: PodrParams): number {
  const count = Math.ceil(fragmentBytes / blockBytes(params))
  if (!Number.isInteger(fragmentBytes) || fragmentBytes < 1 || count > BLOCK_COUNT_MAX) {
    throw new PodrError('BAD_BLOCK', `a fragment of ${fragmentBytes} bytes has no 1 to ${BLOCK_COUNT_MAX} blocks`)
  }
  return count
}
