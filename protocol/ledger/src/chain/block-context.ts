import assert from 'node:assert/strict'
import type { Params } from '@cumulus/params'
import type { BlockContext } from '../framework/index.ts'
import type { VmBlock } from '../vm/vm.ts'
import type { BlockStore } from './block-store.ts'
import type { BlockHeader } from './header.ts'

/** What makes a block's surroundings out of its header. */
export interface ChainRules {
  readonly params: Params
  readonly genesisMs: number
  readonly blocks: BlockStore
}

/** Epochs and eras are counted from genesis, by consensus time alone. */
export function blockContext(
  params: Params,
  genesisMs: number,
  block: Pick<BlockHeader, 'number' | 'timestampMs' | 'prevRandao'>,
): BlockContext {
  const epoch = Math.floor((block.timestampMs - genesisMs) / (params.slotMs * params.slotsPerEpoch))
  return {
    number: block.number,
    timestamp: BigInt(Math.floor(block.timestampMs / 1000)),
    prevRandao: block.prevRandao,
    chainId: params.chainId,
    params,
    epoch,
    era: Math.floor(epoch / params.epochsPerEra),
  }
}

export function vmBlock(
  { params, genesisMs, blocks }: ChainRules,
  block: Pick<BlockHeader, 'number' | 'timestampMs' | 'prevRandao' | 'coinbase' | 'baseFee' | 'gasLimit'>,
): VmBlock {
  return {
    ...blockContext(params, genesisMs, block),
    coinbase: block.coinbase,
    gasLimit: block.gasLimit,
    baseFee: block.baseFee,
    blockHash: (number) => {
      const header = blocks.header(number)
      // Whoever made one up would be on another chain without noticing.
      assert(header !== undefined, `the hash of block ${number} is lost`)
      return header.hash
    },
  }
}
