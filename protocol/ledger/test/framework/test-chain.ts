import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { minimal, type Params } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import {
  type Abi,
  type ContractFunctionArgs,
  type ContractFunctionName,
  type ContractFunctionReturnType,
  decodeErrorResult,
  decodeEventLog,
  decodeFunctionResult,
  encodeFunctionData,
} from 'viem'
import {
  type AnyModule,
  type BlockContext,
  type ModuleGenesis,
  type ModuleMessage,
  ModuleRegistry,
  type ModuleResult,
} from '../../src/framework/index.ts'
import { MemoryWorld } from './memory-world.ts'

type Mutability = 'pure' | 'view' | 'nonpayable' | 'payable'
interface CallOptions extends Partial<Pick<ModuleMessage, 'kind' | 'isStatic' | 'gasLimit' | 'origin'>> {
  readonly from?: Address
  readonly value?: bigint
}

export const nobody: Address = '0x00000000000000000000000000000000000000aa'

/** Modules over a `MemoryWorld`, called through viem: what viem understands, every client does. */
export class TestChain {
  readonly world = new MemoryWorld()
  readonly registry: ModuleRegistry
  block: BlockContext

  constructor(modules: readonly AnyModule[], { params = minimal, genesis = {} as ModuleGenesis } = {}) {
    this.registry = new ModuleRegistry(modules)
    this.block = {
      number: 1n,
      timestamp: 1_700_000_000n,
      prevRandao: new Uint8Array(32).fill(7),
      chainId: params.chainId,
      params: params as Params,
      epoch: 0,
      era: 0,
    }
    this.registry.genesis(this.world, this.block, genesis)
  }

  /** Goes on in time. */
  advance({ blocks = 0n, epochs = 0 }: { blocks?: bigint; epochs?: number }): void {
    const epoch = this.block.epoch + epochs
    const era = Math.floor(epoch / this.block.params.epochsPerEra)
    this.block = { ...this.block, number: this.block.number + blocks, epoch, era }
  }

  /** What modules do at the end of a chain block. */
  endBlock({ coinbase = nobody, burnt = 0n } = {}): ModuleResult['logs'] {
    return this.registry.onBlock(this.world, this.block, { coinbase, burnt })
  }

  fund(account: Address, amount: bigint): void {
    this.world.setBalance(account, this.world.getBalance(account) + amount)
  }

  /** One call as the EVM makes it: the value is moved before, and back again if the call fails. */
  send(module: Pick<AnyModule, 'address'>, data: Uint8Array, options: CallOptions = {}): ModuleResult {
    const { from = nobody, value = 0n, gasLimit = 30_000_000n, kind = 'call', isStatic = false } = options
    const { world } = this
    world.checkpoint()
    if (value > 0n) {
      if (world.getBalance(from) < value) throw new Error(`${from} has not ${value} wei`)
      world.setBalance(from, world.getBalance(from) - value)
      world.setBalance(module.address, world.getBalance(module.address) + value)
    }
    const message = { caller: from, to: module.address, value, data, isStatic, kind, gasLimit, origin: from }
    const result = this.registry.dispatch({ ...message, ...options }, world, this.block)
    if (result.ok) world.commit()
    else world.revert()
    return result
  }

  /** Calls a function and returns what it returned; throws `Reverted` if it was refused. */
  call<
    const A extends Abi,
    Name extends ContractFunctionName<A, Mutability>,
    Args extends ContractFunctionArgs<A, Mutability, Name>,
  >(
    module: { readonly address: Address; readonly abi: A },
    functionName: Name,
    args: Args,
    options: CallOptions = {},
  ): ContractFunctionReturnType<A, Mutability, Name, Args> & {} {
    return this.transact(module, functionName, args, options).value as never
  }

  /** `call` with events and gas. */
  transact<
    const A extends Abi,
    Name extends ContractFunctionName<A, Mutability>,
    Args extends ContractFunctionArgs<A, Mutability, Name>,
  >(
    module: { readonly address: Address; readonly abi: A },
    functionName: Name,
    args: Args,
    options: CallOptions = {},
  ): { value: unknown; events: { name: string; args: Record<string, unknown> }[]; gasUsed: bigint } {
    const { abi } = module as { abi: Abi }
    const call = { abi, functionName: functionName as string, args: args as readonly unknown[] }
    const result = this.send(module, hexToBytes(encodeFunctionData(call)), options)
    if (!result.ok) throw new Reverted(abi, result.output)
    const value =
      result.output.length === 0 ? undefined : decodeFunctionResult({ ...call, data: bytesToHex(result.output) })
    return {
      value,
      events: this.events(result.logs, [module as { address: Address; abi: Abi }]),
      gasUsed: result.gasUsed,
    }
  }

  events(logs: ModuleResult['logs'], modules: readonly { readonly address: Address; readonly abi: Abi }[]) {
    return logs
      .filter((log) => modules.some((module) => module.address === log.address))
      .map((log) => {
        const { abi } = modules.find((module) => module.address === log.address)!
        const topics = log.topics.map(bytesToHex) as [`0x${string}`]
        const decoded = decodeEventLog({ abi, topics, data: bytesToHex(log.data) })
        return { name: String(decoded.eventName), args: decoded.args as unknown as Record<string, unknown> }
      })
  }
}

/** A refusal, with the words or numbers the client gets. */
export class Reverted extends Error {
  readonly errorName: string
  readonly args: readonly unknown[]
  constructor(abi: Abi, data: Uint8Array) {
    const decoded = data.length === 0 ? undefined : decodeErrorResult({ abi, data: bytesToHex(data) })
    const args = (decoded?.args ?? []) as readonly unknown[]
    super(decoded ? (decoded.errorName === 'Error' ? String(args[0]) : `${decoded.errorName}(${args})`) : 'out of gas')
    this.errorName = decoded?.errorName ?? 'OutOfGas'
    this.args = args
  }
}
