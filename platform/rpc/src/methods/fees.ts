import { type Decoder, invalid, list, optional, quantity } from '../decode.ts'
import { feeHistory, TipAdvice } from '../fees.ts'
import { toQuantity } from '../format.ts'
import { type MethodTable, method } from '../method.ts'
import { RpcError } from '../rpc-error.ts'
import { latest, type MethodContext } from './context.ts'

export function feeMethods(context: MethodContext): MethodTable {
  const { chain, limits } = context
  const tips = new TipAdvice(chain)
  const suggestedTip = (signal: AbortSignal) => tips.suggest(context.turns(signal))
  return {
    ...method('eth_gasPrice', [], async (_, { signal }) => {
      const tip = await suggestedTip(signal)
      return toQuantity(chain.nextBaseFee() + tip)
    }),
    ...method('eth_maxPriorityFeePerGas', [], async (_, { signal }) => toQuantity(await suggestedTip(signal))),
    // No transaction has blobs, so their price stays at the least there is.
    ...method('eth_blobBaseFee', [], () => '0x1' as const),
    ...method(
      'eth_feeHistory',
      [quantity, latest, optional(list(percentile, 100))],
      ([count, at, percentiles], { signal }) => {
        const newest = context.requireHeader(at)
        if (count < 1n) throw new RpcError('INVALID_PARAMS', 'parameter 1 must be at least one block')
        if (percentiles?.some((one, index) => index > 0 && one < percentiles[index - 1]!)) {
          throw new RpcError('INVALID_PARAMS', 'parameter 3 must be ascending percentiles')
        }
        // As geth does, a longer history is cut, not refused.
        const most = BigInt(limits.feeHistoryBlocksMax)
        const blocks = count > most ? most : count
        return context.search((turns) => feeHistory(chain, blocks, newest, percentiles, turns), signal)
      },
    ),
  }
}

const percentile: Decoder<number> = (value, name) => {
  if (typeof value !== 'number' || !(value >= 0 && value <= 100))
    throw invalid(name, 'a percentile from 0 to 100', value)
  return value
}
