import { bytesToHex } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'
import type {
  AccountOverride,
  BlockOverrides,
  CallOptions,
  CallOutcome,
  CallRequest,
  GasEstimate,
  Hex,
  StateView,
} from '../chain-view.ts'
import { address, type BlockReference, callRequest, invalid, isRecord, list, slot } from '../decode.ts'
import { toQuantity, toWord } from '../format.ts'
import { type MethodTable, method } from '../method.ts'
import { callOverrides } from '../overrides.ts'
import { revertReason } from '../revert-reason.ts'
import { overLimit, RpcError } from '../rpc-error.ts'
import { latest, type MethodContext } from './context.ts'

/** State and what is computed on it. `pending` means the state after the latest block; nonces count waiting transactions too. */
export function stateMethods(context: MethodContext): MethodTable {
  const { chain, limits } = context
  const request = callRequest(limits)
  const { accounts, block } = callOverrides(limits)
  const capped = (call: CallRequest): CallRequest => ({
    ...call,
    gas: call.gas === undefined || call.gas > limits.callGasMax ? limits.callGasMax : call.gas,
  })

  type Arguments = readonly [
    CallRequest,
    BlockReference,
    ReadonlyMap<Address, AccountOverride> | undefined,
    BlockOverrides | undefined,
  ]
  const run = <Outcome>(
    [call, at, accountOverrides, blockOverrides]: Arguments,
    asker: AbortSignal,
    work: (state: StateView, call: CallRequest, options: CallOptions) => Promise<Outcome>,
    isAboutNextBlock = at === 'pending',
  ): Promise<Outcome> =>
    context.execute((signal) => {
      const block = isAboutNextBlock ? { ...nextBlock(), ...blockOverrides } : blockOverrides
      return work(context.stateAt(at), capped(call), { accounts: accountOverrides, block, signal })
    }, asker)
  /**
   * An estimate is about a transaction that is still to be sent. Its block has another number and time than the head,
   * which is often the block of the sender's own last transaction: a vote's checkpoint or a pool's price costs a new
   * slot in the next block, and was written already in this one.
   */
  const isToBeSent = (at: BlockReference) => at === 'latest' || at === 'pending'
  const nextBlock = (): BlockOverrides => {
    const head = chain.head()
    const now = BigInt(Math.floor(context.nowMs() / 1_000))
    const timestamp = (now > head.timestamp ? now : head.timestamp) + 1n
    return { number: head.number + 1n, timestamp, baseFee: chain.nextBaseFee() }
  }

  return {
    ...method('eth_getBalance', [address, latest], ([of, at]) => toQuantity(context.stateAt(at).balance(of))),
    ...method('eth_getCode', [address, latest], ([of, at]) => bytesToHex(context.stateAt(at).code(of))),
    ...method('eth_getTransactionCount', [address, latest], ([of, at]) => {
      const nonce = context.stateAt(at).nonce(of)
      return toQuantity(at === 'pending' ? chain.pending.nextNonce(of) : nonce)
    }),
    ...method('eth_getStorageAt', [address, slot, latest], ([of, key, at]) =>
      toWord(context.stateAt(at).storage(of, key)),
    ),
    ...method('eth_getStorageValues', [slotsByAddress(limits.proofKeysMax), latest], ([wanted, at]) => {
      const state = context.stateAt(at)
      return Object.fromEntries(wanted.map(([of, keys]) => [of, keys.map((key) => toWord(state.storage(of, key)))]))
    }),
    ...method(
      'eth_getProof',
      [address, list(slot, limits.proofKeysMax), latest],
      async ([of, keys, at], { signal }) => {
        const proof = await context.execute(async (limited) => context.stateAt(at).proof(of, keys, limited), signal)
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
      },
    ),

    ...method('eth_call', [request, latest, accounts, block], async (args, { signal }) => {
      const outcome = await run(args, signal, (state, call, options) => state.call(call, options))
      if (outcome.kind !== 'returned') throw callError(outcome)
      return bytesToHex(outcome.data)
    }),
    ...method('eth_estimateGas', [request, latest, accounts, block], async (args, { signal }) => {
      const outcome = await run(
        args,
        signal,
        (state, call, options) => state.estimateGas(call, options),
        isToBeSent(args[1]),
      )
      if (outcome.kind !== 'estimated') throw callError(outcome)
      return toQuantity(outcome.gas)
    }),
    ...method('eth_createAccessList', [request, latest, accounts, block], async (args, { signal }) => {
      const outcome = await run(
        args,
        signal,
        (state, call, options) => state.createAccessList(call, options),
        isToBeSent(args[1]),
      )
      return {
        accessList: outcome.accessList.map((one) => ({ address: one.address, storageKeys: [...one.storageKeys] })),
        gasUsed: toQuantity(outcome.gasUsed),
        ...(outcome.error !== undefined && { error: outcome.error }),
      }
    }),
  }
}

/** Slots of several accounts, together no more than one proof may have. */
function slotsByAddress(countMax: number) {
  return (value: unknown, name: string): [Hex, bigint[]][] => {
    if (!isRecord(value)) throw invalid(name, 'an object of slots by address', value)
    let count = 0
    return Object.entries(value).map(([of, keys]) => {
      const slots = list(slot, countMax)(keys, `${name}.${of.slice(0, 42)}`)
      count += slots.length
      if (count > countMax) throw overLimit('list', `${name} has more than ${countMax} slots`)
      return [address(of, `${name} key`), slots]
    })
  }
}

export function callError(outcome: Exclude<CallOutcome | GasEstimate, { kind: 'returned' | 'estimated' }>): RpcError {
  if (outcome.kind === 'failed') return new RpcError('REFUSED', outcome.reason)
  // One hex string: what viem, ethers and Hardhat decode custom errors from.
  const reason = revertReason(outcome.data)
  const message = reason === undefined ? 'execution reverted' : `execution reverted: ${reason}`
  return new RpcError('REVERTED', message, { data: bytesToHex(outcome.data) })
}
