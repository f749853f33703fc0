import { hexToBytes } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'
import { type EVM, EVMError } from '@ethereumjs/evm'
import { Address as EvmAddress } from '@ethereumjs/util'
import type { ModuleRegistry } from '../framework/index.ts'
import type { JournaledState } from '../state/journaled-state.ts'
import { dispatch, ModuleEvm, toLog } from './module-evm.ts'
import { StateAdaptor, toAddress } from './state-adaptor.ts'
import type { ModuleHost, Vm, VmBlock, VmMessage, VmResult, VmTracer } from './vm.ts'

const NOTHING = new Uint8Array(0)

type EvmBlock = NonNullable<Parameters<EVM['runCall']>[0]['block']>

/** The protocol modules without the state they work on. */
export type ModuleDispatch = Pick<ModuleRegistry, 'has' | 'dispatch'>

/** `@ethereumjs/evm` on the journaled state, with protocol modules where their addresses are called. */
export class EthereumVm implements Vm {
  readonly precompiles: readonly Address[]
  readonly #state: JournaledState
  readonly #modules: ModuleHost
  readonly #evm: ModuleEvm
  readonly #precompileSet: ReadonlySet<string>

  constructor(state: JournaledState, modules: ModuleDispatch, chainId: number) {
    this.#state = state
    this.#modules = {
      has: (address) => modules.has(address),
      dispatch: (message, block) => modules.dispatch(message, state, block),
    }
    this.#evm = new ModuleEvm(new StateAdaptor(state), this.#modules, chainId)
    this.precompiles = [...this.#evm.precompiles.keys()].map((address): Address => `0x${address}`)
    this.#precompileSet = new Set(this.precompiles)
  }

  /** Asked every so often while bytecode runs: what to wait for before it goes on. */
  set pause(pause: () => Promise<unknown> | undefined) {
    this.#evm.pause = pause
  }

  /** Told of everything that runs from here on. */
  set tracer(tracer: VmTracer | undefined) {
    this.#evm.tracer = tracer
  }

  run(message: VmMessage, block: VmBlock): VmResult | Promise<VmResult> {
    const { tracer } = this.#evm
    if (tracer === undefined) return this.#run(message, block)
    const { caller: from, to, value, gasLimit: gas, data: input } = message
    tracer.enter({ type: to === undefined ? 'CREATE' : 'CALL', from, to, value, gas, input })
    const exit = (result: VmResult) => {
      tracer.exit(result)
      return result
    }
    const outcome = this.#run(message, block)
    return outcome instanceof Promise ? outcome.then(exit) : exit(outcome)
  }

  #run(message: VmMessage, block: VmBlock): VmResult | Promise<VmResult> {
    const { to } = message
    if (to !== undefined) {
      if (this.#modules.has(to)) return this.#callModule(message, to, block)
      if (!this.#precompileSet.has(to) && this.#state.getCode(to).length === 0) return this.#transfer(message, to)
    }
    return this.#interpret(message, block)
  }

  #transfer(message: VmMessage, to: Address): VmResult {
    const ok = moveValue(this.#state, message.caller, to, message.value)
    return { ...NO_RESULT, ok, error: ok ? undefined : EVMError.errorMessages.INSUFFICIENT_BALANCE }
  }

  #callModule(message: VmMessage, to: Address, block: VmBlock): VmResult {
    this.#state.checkpoint()
    if (!moveValue(this.#state, message.caller, to, message.value)) {
      this.#state.revert()
      return { ...NO_RESULT, error: EVMError.errorMessages.INSUFFICIENT_BALANCE }
    }
    const result = dispatch(
      this.#modules,
      {
        caller: message.caller,
        to,
        value: message.value,
        data: message.data,
        isStatic: false,
        kind: 'call',
        gasLimit: message.gasLimit,
        origin: message.caller,
      },
      block,
    )
    if (result.ok) {
      this.#state.commit()
      for (const log of result.logs) this.#evm.tracer?.log(log)
    } else this.#state.revert()
    return {
      ...NO_RESULT,
      ok: result.ok,
      error: result.ok ? undefined : EVMError.errorMessages.REVERT,
      output: result.output,
      gasUsed: result.gasUsed,
      logs: result.ok ? result.logs : [],
    }
  }

  async #interpret(message: VmMessage, block: VmBlock): Promise<VmResult> {
    const { journal } = this.#evm
    for (const address of this.#evm.precompiles.keys()) journal.addAlwaysWarmAddress(address)
    for (const { address, slots } of message.warm) {
      const plain = address.slice(2)
      journal.addAlwaysWarmAddress(plain)
      for (const slot of slots) journal.addAlwaysWarmSlot(plain, slot.toHex())
    }
    this.#evm.vmBlock = block
    let evmResult: Awaited<ReturnType<EVM['runCall']>>
    try {
      evmResult = await this.#evm.runCall({
        block: evmBlock(block),
        gasPrice: message.gasPrice,
        caller: evmAddress(message.caller),
        to: message.to === undefined ? undefined : evmAddress(message.to),
        gasLimit: message.gasLimit,
        value: message.value,
        data: message.data,
        skipNonceIncrement: true,
      })
    } finally {
      journal.cleanJournal()
      this.#evm.transientStorage.clear()
    }
    const { createdAddress, execResult } = evmResult
    const ok = execResult.exceptionError === undefined
    const destroyed: Address[] = []
    for (const address of [...(execResult.selfdestruct?.keys() ?? [])].sort()) {
      if (execResult.createdAddresses?.has(address)) destroyed.push(address)
    }
    return {
      ok,
      error: execResult.exceptionError?.error,
      output: execResult.returnValue,
      gasUsed: execResult.executionGasUsed,
      gasRefund: execResult.gasRefund ?? 0n,
      logs: ok ? (execResult.logs ?? []).map(toLog) : [],
      createdAddress: createdAddress && ok ? toAddress(createdAddress) : undefined,
      destroyed,
    }
  }
}

const NO_RESULT: VmResult = {
  ok: false,
  error: undefined,
  output: NOTHING,
  gasUsed: 0n,
  gasRefund: 0n,
  logs: [],
  createdAddress: undefined,
  destroyed: [],
}

function moveValue(state: JournaledState, from: Address, to: Address, value: bigint): boolean {
  if (value === 0n) return true
  const balance = state.getBalance(from)
  if (balance < value) return false
  state.setBalance(from, balance - value)
  state.setBalance(to, state.getBalance(to) + value)
  return true
}

function evmAddress(address: Address): EvmAddress {
  return new EvmAddress(hexToBytes(address))
}

function evmBlock(block: VmBlock): EvmBlock {
  return {
    header: {
      number: block.number,
      coinbase: evmAddress(block.coinbase),
      timestamp: block.timestamp,
      difficulty: 0n,
      prevRandao: block.prevRandao,
      gasLimit: block.gasLimit,
      baseFeePerGas: block.baseFee,
      // The least that EIP-4844 allows: there are no blobs.
      getBlobGasPrice: () => 1n,
    },
  }
}
