import { bytesToHex } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { bytes } from '../decode.ts'
import { toQuantity } from '../format.ts'
import { type MethodTable, method } from '../method.ts'
import type { MethodContext } from './context.ts'

/** The node and the chain as a whole. */
export function nodeMethods({ chain }: MethodContext): MethodTable {
  return {
    ...method('eth_chainId', [], () => toQuantity(chain.chainId)),
    // Keys live in wallets: a node has no accounts.
    ...method('eth_accounts', [], () => []),
    ...method('eth_syncing', [], () => {
      const progress = chain.syncing()
      if (!progress) return false
      const { startingBlock, currentBlock, highestBlock } = progress
      return {
        startingBlock: toQuantity(startingBlock),
        currentBlock: toQuantity(currentBlock),
        highestBlock: toQuantity(highestBlock),
      }
    }),
    ...method('net_version', [], () => String(chain.chainId)),
    ...method('net_listening', [], () => true),
    ...method('net_peerCount', [], () => toQuantity(chain.peerCount())),
    ...method('web3_clientVersion', [], () => chain.clientVersion),
    ...method('web3_sha3', [bytes], ([data]) => bytesToHex(keccak256(data))),
  }
}
