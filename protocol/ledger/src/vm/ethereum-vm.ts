import { concatBytes, hexToBytes } from '@cumulus/bytes'
import { keccak256, sha256 } from '@cumulus/hash'
import { recoverSecp256k1 } from '@cumulus/signature'
import { type Address, addressFromBytes } from '@cumulus/types'
import { createCustomCommon, Hardfork, Mainnet } from '@ethereumjs/common'
import { EVM, EVMError, type ExecResult, type Message, NobleBN254, type PrecompileFunc } from '@ethereumjs/evm'
import { Address as EvmAddress } from '@ethereumjs/util'
import type { CallKind, ModuleMessage, ModuleRegistry, ModuleResult } from '../framework/index.ts'
import { LedgerError, LedgerHalt } from '../ledger-error.ts'
import type { JournaledState } from '../state/journaled-state.ts'
import { StateAdaptor, toAddress } from './state-adaptor.ts'
import type { Log, ModuleHost, Vm, VmBlock, VmMessage, VmResult } from './vm.ts'

/** The one fork this chain runs, from its first block on: the newest that is final on Ethereum's main net. */
export const FORK = Hardfork.Osaka

const NOTHING = new Uint8Array(0)

type EvmBlock = NonNullable<Parameters<EVM['runCall']>[0]['block']>

/**
 * Point evaluation of EIP-4844. There are no blobs here, and whether a KZG library is installed must not decide what a
 * block means: the call fails on every node and takes all its gas. (Were the address left empty instead, calls would
 * succeed, and a contract that only looks at success would take any proof for valid.)
 */
const POINT_EVALUATION = '000000000000000000000000000000000000000a'
const refusePointEvaluation: PrecompileFunc = ({ gasLimit }) => ({
  returnValue: NOTHING,
  executionGasUsed: gasLimit,
  exceptionError: new EVMError(EVMError.errorMessages.INVALID_PROOF),
})

function createCommon(chainId: number) {
  return createCustomCommon({ chainId, name: 'cumulus' }, Mainnet, {
    hardfork: FORK,
    customCrypto: {
      keccak256,
      sha256,
      ecrecover: (hash, v, r, s) => {
        const key = recoverSecp256k1(concatBytes(r, s), Number(v) - 27, hash)
        if (key === undefined) throw new Error('no public key has this signature')
        return key
      },
    },
  })
}

export const customPrecompiles = [
  { address: new EvmAddress(hexToBytes(POINT_EVALUATION)), function: refusePointEvaluation },
]

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

  run(message: VmMessage, block: VmBlock): VmResult | Promise<VmResult> {
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
    if (result.ok) this.#state.commit()
    else this.#state.revert()
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

const JUMPDEST = 0x5b
/** In JUMPDESTs. One is passed every 2 to 20 µs. */
const WORK_BETWEEN_PAUSES = 500
/** Calls of precompiles take up to a millisecond, some of them much more. */
const WORK_OF_CALL = 50

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

/** Handing code out is where the EVM learns what a call means, and the one place that still knows the whole message. */
class ModuleEvm extends EVM {
  readonly #modules: ModuleHost
  vmBlock: VmBlock | undefined
  pause: () => Promise<unknown> | undefined = () => undefined
  #work = 0

  constructor(stateManager: StateAdaptor, modules: ModuleHost, chainId: number) {
    super({
      common: createCommon(chainId),
      stateManager,
      blockchain: {
        getBlock: async (number) => ({ hash: () => this.vmBlock!.blockHash(BigInt(number)) }),
        putBlock: async () => {},
        shallowCopy() {
          return this
        },
      },
      bn254: new NobleBN254(),
      customPrecompiles,
      // Nothing runs for long without passing a JUMPDEST or beginning a call. As an opcode of ours it may be waited for.
      customOpcodes: [
        { opcode: JUMPDEST, opcodeName: 'JUMPDEST', baseFee: 1, logicFunction: () => this.#worked(1) as Promise<void> },
      ],
    })
    this.#modules = modules
  }

  override async runCall(options: Parameters<EVM['runCall']>[0]): ReturnType<EVM['runCall']> {
    const pause = this.#worked(WORK_OF_CALL)
    if (pause) await pause
    return super.runCall(options)
  }

  #worked(amount: number): Promise<unknown> | undefined {
    this.#work += amount
    if (this.#work < WORK_BETWEEN_PAUSES) return undefined
    this.#work = 0
    return this.pause()
  }

  protected override async _loadCode(message: Message): Promise<void> {
    if (!message.code && this.#modules.has(toAddress(message.codeAddress))) {
      message.code = () => this.#dispatch(message)
      message.isCompiled = true
      return
    }
    await super._loadCode(message)
  }

  #dispatch(message: Message): ExecResult {
    const to = toAddress(message.codeAddress)
    const result = dispatch(
      this.#modules,
      {
        caller: toAddress(message.caller),
        to,
        value: message.value,
        // The EVM hands out a view of the caller's memory, which it goes on using: what a module keeps must be its own.
        data: message.data.slice(),
        isStatic: message.isStatic,
        kind: callKind(message),
        gasLimit: message.gasLimit,
        origin: toAddress(this._tx!.origin),
      },
      this.vmBlock!,
    )
    return {
      returnValue: result.output,
      executionGasUsed: result.gasUsed,
      exceptionError: result.ok ? undefined : new EVMError(EVMError.errorMessages.REVERT),
      logs: result.ok ? result.logs.map(fromLog) : undefined,
    }
  }
}

function dispatch(modules: ModuleHost, message: ModuleMessage, block: VmBlock): ModuleResult {
  let result: ModuleResult
  try {
    result = modules.dispatch(message, block)
  } catch (cause) {
    // The state could not be read, which is no mistake of the module.
    if (cause instanceof LedgerError) throw cause
    throw new LedgerHalt(`module ${message.to} threw something that is no revert`, cause)
  }
  if (result.gasUsed < 0n || result.gasUsed > message.gasLimit) {
    throw new LedgerHalt(`module ${message.to} used ${result.gasUsed} of ${message.gasLimit} gas`, undefined)
  }
  return result
}

/** CALLCODE runs foreign code on the caller's account too, but with itself as the caller; it has no flag of its own. */
function callKind(message: Message): CallKind {
  if (message.delegatecall) return 'delegatecall'
  if (message.to === undefined || !message.codeAddress.equals(message.to)) return 'callcode'
  return message.isStatic ? 'staticcall' : 'call'
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

function toLog([address, topics, data]: [Uint8Array, Uint8Array[], Uint8Array]): Log {
  return { address: addressFromBytes(address), topics, data }
}

function fromLog(log: {
  address: Address
  topics: Uint8Array[]
  data: Uint8Array
}): [Uint8Array, Uint8Array[], Uint8Array] {
  return [hexToBytes(log.address), log.topics, log.data]
}
