import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'
import { decodeFunctionResult, encodeFunctionData } from 'viem/utils'
import type { ProtocolModule, ProtocolModules, StateView } from '../chain-view.ts'
import { address, type Decoder, invalid, optional, quantity } from '../decode.ts'
import { toQuantity } from '../format.ts'
import { type MethodTable, method } from '../method.ts'
import { overLimit, RpcError } from '../rpc-error.ts'
import { latest, type MethodContext } from './context.ts'
import { callError } from './state.ts'

/** Miners in one question to the module. */
const MINERS_PER_CALL = 100n
const U32_MAX = 0xffff_ffffn

const groupId: Decoder<number> = (value, name) => {
  const id = quantity(value, name)
  if (id > U32_MAX) throw invalid(name, 'the number of a group', value)
  return Number(id)
}

/** Whose challenges are asked for: one miner's, or all of an epoch. */
const minerOrEpoch: Decoder<Address | bigint> = (value, name) =>
  typeof value === 'string' && value.length === 42 ? address(value, name) : quantity(value, name)

/** What Ethereum has no word for. */
export function cumulusMethods(context: MethodContext): MethodTable {
  const { chain, limits } = context
  const requireModules = (): ProtocolModules => {
    if (!chain.modules) throw new RpcError('REFUSED', 'this chain has no protocol modules')
    return chain.modules
  }
  /** One view of a module, as anybody can have it by `eth_call`. */
  const ask = async (
    state: StateView,
    { address: to, abi }: ProtocolModule,
    functionName: string,
    args: readonly unknown[],
    signal: AbortSignal,
  ): Promise<unknown> => {
    const data = hexToBytes(encodeFunctionData({ abi, functionName, args }))
    const outcome = await state.call({ to, data, gas: limits.callGasMax }, { signal })
    if (outcome.kind !== 'returned') throw callError(outcome)
    return decodeFunctionResult({ abi, functionName, data: bytesToHex(outcome.data) })
  }

  return {
    ...method('cumulus_status', [], () => chain.status()),
    ...method('cumulus_getGroup', [groupId, latest], ([id, at], { signal }) => {
      const { storage } = requireModules()
      return context.execute(async (limited) => {
        const group = (await ask(context.stateAt(at), storage, 'groupOf', [id], limited)) as { classId: number }
        return group.classId === 0 ? null : (toJson(group) as object)
      }, signal)
    }),
    ...method('cumulus_getChallenges', [optional(minerOrEpoch), latest], ([of, at], { signal }) => {
      const { audit, miners } = requireModules()
      return context.execute(async (limited) => {
        const state = context.stateAt(at)
        const challengeOf = async (miner: Address) =>
          (await ask(state, audit, 'challengeOf', [miner], limited)) as { state: number; epoch: bigint }
        const accounts: Address[] = []
        if (typeof of === 'string') accounts.push(of)
        else {
          const count = (await ask(state, miners, 'minerCount', [], limited)) as bigint
          if (count > BigInt(limits.challengedMinersMax)) {
            throw overLimit(
              'challenged_miners',
              `there are ${count} miners, at most ${limits.challengedMinersMax} are asked at a time; ask for one of them`,
            )
          }
          for (let offset = 0n; offset < count; offset += MINERS_PER_CALL) {
            const page = await ask(state, miners, 'miners', [offset, MINERS_PER_CALL], limited)
            accounts.push(...(page as { account: Address }[]).map(({ account }) => account))
          }
        }
        const found: object[] = []
        for (const account of accounts) {
          const challenge = await challengeOf(account)
          if (challenge.state === 0 || (typeof of === 'bigint' && challenge.epoch !== of)) continue
          found.push(toJson(challenge) as object)
        }
        return found
      }, signal)
    }),
  }
}

/** What a module answered, as JSON: numbers that may be too wide for it in hex, like all of JSON-RPC. */
function toJson(value: unknown): unknown {
  if (typeof value === 'bigint') return toQuantity(value)
  if (Array.isArray(value)) return value.map(toJson)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, toJson(field)]))
}
