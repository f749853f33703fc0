import { createRequire } from 'node:module'
import type { Abi, Hex } from 'viem'
import type { Artifact } from './hardhat-project.ts'

const require = createRequire(import.meta.url)

/** Uniswap v2 core as its own package ships it, compiled by solc 0.5.16. */
export function uniswap(name: 'UniswapV2Factory' | 'UniswapV2Pair'): Artifact {
  const { abi, bytecode } = require(`@uniswap/v2-core/build/${name}.json`) as { abi: Abi; bytecode: string }
  return { abi, bytecode: `0x${bytecode.replace(/^0x/, '')}` as Hex }
}

/** What a pair gives for `amountIn`, after its fee of 0.3 % (UniswapV2Library, getAmountOut). */
export function amountOut(amountIn: bigint, reserveIn: bigint, reserveOut: bigint): bigint {
  const paid = amountIn * 997n
  return (paid * reserveOut) / (reserveIn * 1_000n + paid)
}
