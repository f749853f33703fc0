import type { RpcFeeHistory } from 'viem'
import type { ChainView, Hash, ViewHeader } from './chain-view.ts'
import { toQuantity } from './format.ts'
import type { Turns } from './turns.ts'

/** Blocks whose tips are looked at for a suggestion. */
const TIP_BLOCKS = 20n

/** A tip that recent blocks took: the 60th percentile of theirs, and never below what the node takes at all. */
export class TipAdvice {
  readonly #chain: ChainView
  /** Wallets ask before each transaction, and until the next block the answer is the same. */
  #last: { readonly head: Hash; readonly tip: bigint } | undefined

  constructor(chain: ChainView) {
    this.#chain = chain
  }

  async suggest(turns: Turns): Promise<bigint> {
    const chain = this.#chain
    const head = chain.head()
    if (this.#last?.head === head.hash) return this.#last.tip
    const tips: bigint[] = []
    const first = larger(chain.oldestNumber(), head.number - TIP_BLOCKS + 1n)
    for (let number = head.number; number >= first; number--) {
      const pause = turns.next()
      if (pause) await pause
      const { baseFeePerGas } = chain.header(number)!
      for (const { effectiveGasPrice } of chain.payments(number)!) tips.push(effectiveGasPrice - baseFeePerGas)
    }
    tips.sort(ascending)
    const tip = larger(tips[Math.floor((tips.length - 1) * 0.6)] ?? 0n, chain.minTip)
    this.#last = { head: head.hash, tip }
    return tip
  }
}

/**
 * `eth_feeHistory` of `count` blocks that end with `newest`; fewer where the chain here began later. Headers are enough,
 * and what transactions paid is read only for percentiles.
 */
export async function feeHistory(
  chain: ChainView,
  count: bigint,
  newest: ViewHeader,
  percentiles: readonly number[] | undefined,
  turns: Turns,
): Promise<RpcFeeHistory> {
  const first = larger(chain.oldestNumber(), newest.number - count + 1n)
  const baseFees: bigint[] = []
  const gasUsedRatio: number[] = []
  const rewards: bigint[][] = []
  for (let number = first; number <= newest.number; number++) {
    const pause = turns.next()
    if (pause) await pause
    const header = chain.header(number)!
    baseFees.push(header.baseFeePerGas)
    gasUsedRatio.push(Number((header.gasUsed * 1_000_000n) / header.gasLimit) / 1_000_000)
    if (percentiles) rewards.push(rewardsOf(chain, header, percentiles))
  }
  baseFees.push(chain.header(newest.number + 1n)?.baseFeePerGas ?? chain.nextBaseFee())
  return {
    oldestBlock: toQuantity(first),
    baseFeePerGas: baseFees.map(toQuantity),
    gasUsedRatio,
    ...(percentiles && { reward: rewards.map((row) => row.map(toQuantity)) }),
  }
}

/** Tips at the given percentiles of gas, cheapest first. */
function rewardsOf(chain: ChainView, { number, gasUsed, baseFeePerGas }: ViewHeader, percentiles: readonly number[]) {
  if (percentiles.length === 0) return []
  const paid = (chain.payments(number) ?? [])
    .map((one) => ({ tip: one.effectiveGasPrice - baseFeePerGas, gas: one.gasUsed }))
    .sort((a, b) => ascending(a.tip, b.tip))
  if (paid.length === 0) return percentiles.map(() => 0n)
  // Percentiles ascend: one way through the transactions serves them all.
  let index = 0
  let sum = paid[0]!.gas
  return percentiles.map((percentile) => {
    const threshold = (gasUsed * BigInt(Math.round(percentile * 1_000))) / 100_000n
    while (sum < threshold && index < paid.length - 1) sum += paid[++index]!.gas
    return paid[index]!.tip
  })
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

function ascending(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}
