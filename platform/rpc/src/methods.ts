import { bytesToHex } from '@cumulus/bytes'
import type { RpcBlock, RpcLog, RpcTransaction } from 'viem'
import { BloomQuery } from './bloom.ts'
import { CallQueue } from './call-queue.ts'
import type { CallOutcome, CallRequest, ChainView, GasEstimate, Hash, Hex, StateView, ViewBlock } from './chain-view.ts'
import {
  address,
  type BlockReference,
  blockReference,
  boolean,
  bytes,
  callRequest,
  type Decoder,
  hash,
  hex,
  invalid,
  isRecord,
  type LogQuery,
  list,
  logQuery,
  optional,
  quantity,
  slot,
  text,
} from './decode.ts'
import { feeHistory, suggestTip } from './fees.ts'
import type { Filters } from './filters.ts'
import { formatBlock, formatHeader, formatReceipt, formatTransaction, toQuantity, toWord } from './format.ts'
import type { RpcLimits } from './limits.ts'
import { logsOfBlock, searchLogs } from './log-search.ts'
import { type MethodTable, method } from './method.ts'
import { revertReason } from './revert-reason.ts'
import { overLimit, RpcError } from './rpc-error.ts'

const latest: Decoder<BlockReference> = (value, name) => optional(blockReference)(value, name) ?? 'latest'

/** Overrides change what a call sees; to ignore them would answer another question. */
const noOverrides: Decoder<undefined> = (value, name) => {
  if (value !== undefined && value !== null && !(isRecord(value) && Object.keys(value).length === 0)) {
    throw new RpcError('INVALID_PARAMS', `${name}: state and block overrides are not supported`)
  }
  return undefined
}

/** Every method of the server. `pending` means the state after the latest block; nonces count waiting transactions too. */
export function createMethods(chain: ChainView, limits: RpcLimits, filters: Filters): MethodTable {
  const calls = new CallQueue(limits)
  const request = callRequest(limits)
  const query = logQuery(limits)

  const numberOf = (reference: BlockReference): bigint | undefined => {
    const head = chain.head().number
    if (typeof reference === 'bigint') return reference <= head ? reference : undefined
    if (typeof reference === 'object') return chain.numberOf(reference.hash)
    if (reference === 'earliest') return 0n
    return reference === 'safe' || reference === 'finalized' ? chain.finalizedNumber() : head
  }
  const blockAt = (reference: BlockReference): ViewBlock | undefined => {
    if (reference === 'latest' || reference === 'pending') return chain.head()
    const number = numberOf(reference)
    return number === undefined ? undefined : chain.block(number)
  }
  const stateAt = (reference: BlockReference): StateView => {
    const number = numberOf(reference)
    if (number === undefined) throw new RpcError('NOT_FOUND', 'header not found: there is no such block (yet)')
    // A tag means the state at the time of the answer; a number or a hash means that block and no other.
    const isLatest = typeof reference === 'string' && reference !== 'earliest' && number === chain.head().number
    const state = chain.state(isLatest ? 'latest' : number)
    if (!state) {
      throw new RpcError('REFUSED', `state of block ${number} is not kept any more; the head is ${chain.head().number}`)
    }
    return state
  }
  const transactionOf = (block: ViewBlock | undefined, index: bigint): RpcTransaction | null => {
    const transaction = block?.transactions[Number(index)]
    return transaction ? formatTransaction(transaction, block, Number(index)) : null
  }
  const capped = (call: CallRequest): CallRequest => ({
    ...call,
    gas: call.gas === undefined || call.gas > limits.callGasMax ? limits.callGasMax : call.gas,
  })
  const logs = async (wanted: LogQuery): Promise<RpcLog[]> => {
    if (wanted.blockHash) {
      const number = chain.numberOf(wanted.blockHash)
      const block = number === undefined ? undefined : chain.block(number)
      if (!block) throw new RpcError('NOT_FOUND', `unknown block ${wanted.blockHash}`)
      const found = logsOfBlock(chain, block, wanted)
      if (found.length > limits.logCountMax)
        throw overLimit('log_count', `the block has more than ${limits.logCountMax} such logs`)
      return found
    }
    const head = chain.head().number
    const bound = (reference: BlockReference) =>
      typeof reference === 'bigint' ? reference : (numberOf(reference) ?? head + 1n)
    const from = bound(wanted.fromBlock)
    const to = bound(wanted.toBlock)
    if (to < from) throw new RpcError('INVALID_PARAMS', `the range ends (${to}) before it begins (${from})`)
    const isPastHead = to > head
    const end = isPastHead ? head : to
    if (end - from >= BigInt(limits.logRangeBlocksMax)) {
      throw overLimit(
        'log_range',
        `the range has ${end - from + 1n} blocks, at most ${limits.logRangeBlocksMax} are searched at a time`,
      )
    }
    return await searchLogs(chain, wanted, from, end, limits.logCountMax)
  }

  return {
    ...method('eth_chainId', [], () => toQuantity(chain.chainId)),
    ...method('net_version', [], () => String(chain.chainId) as never),
    ...method('net_listening', [], () => true),
    ...method('web3_clientVersion', [], () => chain.clientVersion),
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

    ...method('eth_blockNumber', [], () => toQuantity(chain.head().number)),
    ...method('eth_getBlockByNumber', [latest, optional(boolean)], ([at, full]) => blockOrNull(blockAt(at), full)),
    ...method('eth_getBlockByHash', [hash, optional(boolean)], ([of, full]) =>
      blockOrNull(blockAt({ hash: of }), full),
    ),
    ...method('eth_getBlockTransactionCountByNumber', [latest], ([at]) => countOrNull(blockAt(at))),
    ...method('eth_getBlockTransactionCountByHash', [hash], ([of]) => countOrNull(blockAt({ hash: of }))),
    ...method('eth_getBlockReceipts', [latest], ([at]) => {
      const block = blockAt(at)
      const receipts = block && chain.receipts(block.number)
      if (!receipts) return null as never
      return receipts.map((_, index) => formatReceipt(block, receipts, index)) as never
    }),

    ...method('eth_getTransactionByHash', [hash], ([of]) => {
      const place = chain.place(of)
      if (place) return transactionOf(chain.block(place.blockNumber), BigInt(place.index))
      const waiting = chain.pending.transaction(of)
      return waiting ? formatTransaction(waiting) : null
    }),
    ...method('eth_getTransactionByBlockNumberAndIndex', [latest, quantity], ([at, index]) =>
      transactionOf(blockAt(at), index),
    ),
    ...method('eth_getTransactionByBlockHashAndIndex', [hash, quantity], ([of, index]) =>
      transactionOf(blockAt({ hash: of }), index),
    ),
    ...method('eth_getTransactionReceipt', [hash], ([of]) => {
      const place = chain.place(of)
      const block = place && chain.block(place.blockNumber)
      const receipts = place && chain.receipts(place.blockNumber)
      return block && receipts ? formatReceipt(block, receipts, place.index) : null
    }),
    ...method('eth_getTransactionCount', [address, latest], ([of, at]) => {
      const nonce = stateAt(at).nonce(of)
      return toQuantity(at === 'pending' ? chain.pending.nextNonce(of) : nonce)
    }),

    ...method('eth_getBalance', [address, latest], ([of, at]) => toQuantity(stateAt(at).balance(of))),
    ...method('eth_getCode', [address, latest], ([of, at]) => bytesToHex(stateAt(at).code(of))),
    ...method('eth_getStorageAt', [address, slot, latest], ([of, key, at]) => toWord(stateAt(at).storage(of, key))),
    ...method('eth_getProof', [address, list(slot, limits.proofKeysMax), latest], async ([of, keys, at]) => {
      const proof = await stateAt(at).proof(of, keys)
      return {
        address: of,
        balance: toQuantity(proof.balance),
        nonce: toQuantity(proof.nonce),
        codeHash: proof.codeHash,
        storageHash: proof.storageHash,
        accountProof: proof.accountProof.map(bytesToHex),
        storageProof: proof.storageProof.map((one) => ({
          key: toQuantity(one.slot),
          value: toQuantity(one.value),
          proof: one.proof.map(bytesToHex),
        })),
      } as never
    }),

    ...method('eth_call', [request, latest, noOverrides, noOverrides], async ([call, at]) => {
      const outcome = await calls.run(() => stateAt(at).call(capped(call)))
      if (outcome.kind !== 'returned') throw callError(outcome)
      return bytesToHex(outcome.data)
    }),
    ...method('eth_estimateGas', [request, latest, noOverrides, noOverrides], async ([call, at]) => {
      const outcome = await calls.run(() => stateAt(at).estimateGas(capped(call)))
      if (outcome.kind !== 'estimated') throw callError(outcome)
      return toQuantity(outcome.gas)
    }),

    ...method('eth_gasPrice', [], () => toQuantity(chain.nextBaseFee() + suggestTip(chain))),
    ...method('eth_maxPriorityFeePerGas', [], () => toQuantity(suggestTip(chain))),
    ...method('eth_feeHistory', [quantity, latest, optional(list(percentile, 100))], ([count, at, percentiles]) => {
      const newest = blockAt(at)
      if (!newest) throw new RpcError('NOT_FOUND', 'there is no such block (yet)')
      if (count < 1n) throw new RpcError('INVALID_PARAMS', 'parameter 1 must be at least one block')
      if (percentiles?.some((one, index) => index > 0 && one < percentiles[index - 1]!)) {
        throw new RpcError('INVALID_PARAMS', 'parameter 3 must be ascending percentiles')
      }
      // As geth does, a longer history is cut, not refused.
      const most = limits.feeHistoryBlocksMax
      return feeHistory(chain, count > BigInt(most) ? most : Number(count), newest, percentiles)
    }),

    ...method('eth_sendRawTransaction', [hex], async ([raw]) => {
      const size = (raw.length - 2) / 2
      // An envelope is a few hundred bytes around its data (access lists aside, which the pool's own limit bounds).
      if (size > limits.calldataBytesMax) {
        throw overLimit('calldata', `a transaction of ${size} bytes is over the limit of ${limits.calldataBytesMax}`)
      }
      try {
        return await chain.pending.submit(bytes(raw, 'parameter 1'))
      } catch (cause) {
        const { code, message } = cause as { code?: unknown; message: string }
        if (cause instanceof RpcError || typeof code !== 'string') throw cause
        throw new RpcError('REFUSED', message, { data: { code }, cause })
      }
    }),

    ...method('eth_getLogs', [query], ([wanted]) => logs(wanted)),
    ...method('eth_newFilter', [query], ([wanted]) => filters.addLogs(wanted)),
    ...method('eth_newBlockFilter', [], () => filters.addBlocks()),
    ...method('eth_newPendingTransactionFilter', [optional(boolean)], () => filters.addPending()),
    ...method('eth_getFilterChanges', [hex], async ([id]) => (await filters.changes(id)) as never),
    ...method('eth_getFilterLogs', [hex], async ([id]) => (await logs(filters.query(id))) as never),
    ...method('eth_uninstallFilter', [hex], ([id]) => filters.remove(id)),

    ...method('eth_subscribe', [text, (value) => value], ([kind, options], { socket }) => {
      if (!socket) {
        throw new RpcError('REFUSED', 'notifications not supported: subscribe over a WebSocket, or install a filter')
      }
      switch (kind) {
        case 'newHeads':
          return socket.subscribe(kind, (send) => chain.onBlock((block) => send(formatHeader(block))))
        case 'logs': {
          const wanted = query(options, 'parameter 2')
          const bloom = new BloomQuery(wanted)
          return socket.subscribe(kind, (send) =>
            chain.onBlock((block) => {
              if (!bloom.mayMatch(block.logsBloom)) return
              for (const log of logsOfBlock(chain, block, wanted)) send(log)
            }),
          )
        }
        case 'newPendingTransactions': {
          const full = options === true
          return socket.subscribe(kind, (send) =>
            chain.onPending((of) => {
              const transaction = full ? chain.pending.transaction(of) : undefined
              send(transaction ? formatTransaction(transaction) : of)
            }),
          )
        }
        default:
          throw new RpcError('INVALID_PARAMS', `no subscription "${kind}": newHeads, logs, newPendingTransactions`)
      }
    }),
    ...method('eth_unsubscribe', [hex], ([id], { socket }) => {
      if (!socket) throw new RpcError('REFUSED', 'notifications not supported over HTTP')
      return socket.unsubscribe(id)
    }),

    ...method('txpool_status', [], () => {
      const { pending, queued } = chain.pending.counts()
      return { pending: toQuantity(pending), queued: toQuantity(queued) }
    }),
    ...method('cumulus_status', [], () => chain.status()),
  }
}

const percentile: Decoder<number> = (value, name) => {
  if (typeof value !== 'number' || !(value >= 0 && value <= 100))
    throw invalid(name, 'a percentile from 0 to 100', value)
  return value
}

function blockOrNull(block: ViewBlock | undefined, full: boolean | undefined): RpcBlock | null {
  return block ? formatBlock(block, full ?? false) : null
}

function countOrNull(block: ViewBlock | undefined): Hex {
  // JSON-RPC has null for a block that does not exist; viem's type leaves it out.
  return block ? toQuantity(block.transactions.length) : (null as unknown as Hash)
}

function callError(outcome: Exclude<CallOutcome | GasEstimate, { kind: 'returned' | 'estimated' }>): RpcError {
  if (outcome.kind === 'failed') return new RpcError('REFUSED', outcome.reason)
  // One hex string: what viem, ethers and Hardhat decode custom errors from.
  const reason = revertReason(outcome.data)
  const message = reason === undefined ? 'execution reverted' : `execution reverted: ${reason}`
  return new RpcError('REVERTED', message, { data: bytesToHex(outcome.data) })
}
