import { concatBytes, hexToBytes } from '@cumulus/bytes'
import { keccak256, sha256 } from '@cumulus/hash'
import { recoverSecp256k1 } from '@cumulus/signature'
import { type Address, addressFromBytes } from '@cumulus/types'
import { createCustomCommon, Hardfork, Mainnet } from '@ethereumjs/common'
import { EVM, EVMError, type ExecResult, type Message, NobleBN254, type PrecompileFunc } from '@ethereumjs/evm'
import { Address as EvmAddress } from '@ethereumjs/util'
import type { CallKind, ModuleMessage, ModuleResult } from '../framework/index.ts'
import { LedgerError, LedgerHalt } from '../ledger-error.ts'
import { type StateAdaptor, toAddress } from './state-adaptor.ts'
import type { FrameType, Log, ModuleHost, VmBlock, VmTracer } from './vm.ts'

/** The one fork this chain runs, from its first block on: the newest that is final on Ethereum's main net. */
export const FORK = Hardfork.Osaka

/**
 * Point evaluation of EIP-4844. There are no blobs here, and whether a KZG library is installed must not decide what a
 * block means: the call fails on every node and takes all its gas. (Were the address left empty instead, calls would
 * succeed, and a contract that only looks at success would take any proof for valid.)
 */
const POINT_EVALUATION = '000000000000000000000000000000000000000a'
const refusePointEvaluation: PrecompileFunc = ({ gasLimit }) => ({
  returnValue: new Uint8Array(0),
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

const JUMPDEST = 0x5b
/** In JUMPDESTs. One is passed every 2 to 20 µs. */
const WORK_BETWEEN_PAUSES = 500
/** Calls of precompiles take up to a millisecond, some of them much more. */
const WORK_OF_CALL = 50
/** A step that is watched takes ten times as long. */
const WORK_OF_STEP = 5

type OpHandler = ModuleEvm['_opcodeMap'][number]['opHandler']

const FRAME_TYPES: Readonly<Record<number, FrameType>> = {
  240: 'CREATE',
  241: 'CALL',
  242: 'CALLCODE',
  244: 'DELEGATECALL',
  245: 'CREATE2',
  250: 'STATICCALL',
}
const LOG0 = 0xa0
const SELFDESTRUCT = 0xff
const ADDRESS_MASK = (1n << 160n) - 1n

/** Handing code out is where the EVM learns what a call means, and the one place that still knows the whole message. */
export class ModuleEvm extends EVM {
  readonly #modules: ModuleHost
  vmBlock: VmBlock | undefined
  pause: () => Promise<unknown> | undefined = () => undefined
  #work = 0
  #tracer: VmTracer | undefined
  /** The opcode that makes the next call. */
  #callOpcode = 0

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
    this.#watchOpcodes()
  }

  /** Told of every frame but the outermost, which may never come here. */
  get tracer(): VmTracer | undefined {
    return this.#tracer
  }

  set tracer(tracer: VmTracer | undefined) {
    this.#tracer = tracer
    this.events.removeAllListeners('step')
    if (!tracer?.step) return
    this.events.on('step', ({ pc, opcode, gasLeft, gasRefund, depth, stack, memory, address }) => {
      this.#work += WORK_OF_STEP
      const { name, code, dynamicFee } = opcode
      tracer.step!({
        pc,
        name,
        code,
        gas: gasLeft,
        gasCost: dynamicFee ?? 0n,
        gasRefund,
        depth,
        stack,
        memory,
        address: toAddress(address),
      })
    })
  }

  override async runCall(options: Parameters<EVM['runCall']>[0]): ReturnType<EVM['runCall']> {
    const pause = this.#worked(WORK_OF_CALL)
    if (pause) await pause
    const { message } = options
    if (this.#tracer === undefined || message === undefined) return super.runCall(options)
    const { delegatecall, to, caller, codeAddress } = message
    const type = FRAME_TYPES[this.#callOpcode]!
    const isForeignCode = delegatecall || type === 'CALLCODE'
    this.#tracer.enter({
      type,
      from: toAddress(isForeignCode ? to! : caller),
      to: to && toAddress(isForeignCode ? codeAddress : to),
      value: type === 'STATICCALL' ? undefined : message.value,
      gas: message.gasLimit,
      input: message.data,
    })
    const result = await super.runCall(options)
    const { exceptionError, returnValue, executionGasUsed } = result.execResult
    this.#tracer.exit({
      error: exceptionError?.error,
      output: returnValue,
      gasUsed: executionGasUsed,
      createdAddress: result.createdAddress && toAddress(result.createdAddress),
    })
    return result
  }

  /** Messages do not say which opcode sent them, and logs and SELFDESTRUCT come in no event: opcodes are looked over. */
  #watchOpcodes(): void {
    const watch = (code: number, wrap: (handler: OpHandler) => OpHandler) => {
      const entry = this._opcodeMap[code]!
      this._opcodeMap[code] = { ...entry, opHandler: wrap(entry.opHandler) }
    }
    for (const code of Object.keys(FRAME_TYPES).map(Number)) {
      watch(code, (handler) => (runState, common) => {
        this.#callOpcode = code
        return handler(runState, common)
      })
    }
    for (let code = LOG0; code <= LOG0 + 4; code++) {
      watch(code, (handler) => (runState, common) => {
        handler(runState, common)
        this.#tracer?.log(toLog(runState.interpreter._result.logs.at(-1)!))
      })
    }
    watch(SELFDESTRUCT, (handler) => async (runState, common) => {
      const { address, contract } = runState.env
      const value = contract.balance
      const beneficiary = runState.stack.length > 0 ? runState.stack.peek(1)[0]! : 0n
      try {
        await handler(runState, common)
      } catch (error) {
        if (this.#tracer && error instanceof EVMError && error.error === EVMError.errorMessages.STOP) {
          const to: Address = `0x${(beneficiary & ADDRESS_MASK).toString(16).padStart(40, '0')}`
          const input = new Uint8Array(0)
          this.#tracer.enter({ type: 'SELFDESTRUCT', from: toAddress(address), to, value, gas: 0n, input })
          this.#tracer.exit({ error: undefined, output: input, gasUsed: 0n, createdAddress: undefined })
        }
        throw error
      }
    })
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
    if (result.ok) for (const log of result.logs) this.#tracer?.log(log)
    return {
      returnValue: result.output,
      executionGasUsed: result.gasUsed,
      exceptionError: result.ok ? undefined : new EVMError(EVMError.errorMessages.REVERT),
      logs: result.ok ? result.logs.map(fromLog) : undefined,
    }
  }
}

export function dispatch(modules: ModuleHost, message: ModuleMessage, block: VmBlock): ModuleResult {
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

export function toLog([address, topics, data]: [Uint8Array, Uint8Array[], Uint8Array]): Log {
  return { address: addressFromBytes(address), topics, data }
}

function fromLog(log: {
  address: Address
  topics: Uint8Array[]
  data: Uint8Array
}): [Uint8Array, Uint8Array[], Uint8Array] {
  return [hexToBytes(log.address), log.topics, log.data]
}
