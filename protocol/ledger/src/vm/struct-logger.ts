import { bytesToHex } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'
import { wordToBytes } from '../trie/rlp.ts'
import type { TraceBudget } from './trace-budget.ts'
import { gethError, hexNumber } from './trace-error.ts'
import type { VmFrame, VmStep, VmTracer } from './vm.ts'

export interface StructLoggerOptions {
  readonly enableMemory?: boolean
  readonly disableStack?: boolean
  readonly disableStorage?: boolean
  readonly enableReturnData?: boolean
  /** Steps that are kept, from the first one; the rest is run unseen. 0 or absent: as many as a trace may hold. */
  readonly limit?: number
}

/** One step of bytecode, as geth's struct logger shows it in JSON. */
export interface StructLog {
  readonly pc: number
  readonly op: string
  readonly gas: number
  gasCost: number
  /** 1 for the outermost message. */
  readonly depth: number
  error?: string
  readonly stack?: readonly string[]
  /** Words of 32 bytes, in hex without 0x. */
  readonly memory?: readonly string[]
  /** Slots of the running account that were read or written so far, in hex without 0x; at SLOAD and SSTORE only. */
  readonly storage?: Readonly<Record<string, string>>
  readonly refund?: number
  readonly returnData?: string
}

export interface StructLogTrace {
  readonly gas: number
  readonly failed: boolean
  readonly returnValue: string
  readonly structLogs: readonly StructLog[]
}

const [SLOAD, SSTORE] = [0x54, 0x55]
const STIPEND = 2_300n
/** Bytes that a step takes besides its lists, and an item of a list. */
const [STEP_BYTES, ITEM_BYTES] = [250, 80]

/** Writes down every step of one transaction. Module calls are one step of their caller, and none of their own. */
export class StructLogger implements VmTracer {
  readonly #options: StructLoggerOptions
  readonly #budget: TraceBudget
  readonly #readSlot: (address: Address, slot: bigint) => bigint
  readonly #logs: StructLog[] = []
  readonly #storage = new Map<Address, Record<string, string>>()
  readonly #limit: number
  /** The last step of each open frame, outermost first. */
  readonly #last: (StructLog | undefined)[] = []
  #returnData: Uint8Array = new Uint8Array(0)

  /** @param readSlot of the state as it is at that moment */
  constructor(options: StructLoggerOptions, budget: TraceBudget, readSlot: (address: Address, slot: bigint) => bigint) {
    this.#options = options
    this.#budget = budget
    this.#readSlot = readSlot
    this.#limit = options.limit || Number.POSITIVE_INFINITY
  }

  enter({ type, value, gas }: VmFrame): void {
    const caller = this.#last.at(-1)
    // Geth counts the gas that a call takes along into its cost; creations take theirs separately.
    if (caller && (type === 'CALL' || type === 'CALLCODE' || type === 'DELEGATECALL' || type === 'STATICCALL')) {
      const paysStipend = value !== undefined && value > 0n && type !== 'DELEGATECALL'
      caller.gasCost += Number(paysStipend ? gas - STIPEND : gas)
    }
    this.#last.push(undefined)
    this.#returnData = new Uint8Array(0)
  }

  exit({ error, output }: Parameters<VmTracer['exit']>[0]): void {
    const last = this.#last.pop()
    if (last && error !== undefined && error !== 'revert') last.error = gethError(error)
    if (this.#options.enableReturnData) this.#returnData = output.slice()
  }

  log(): void {}

  step({ pc, name, code, gas, gasCost, gasRefund, depth, stack, memory, address }: VmStep): void {
    const { enableMemory, disableStack, disableStorage, enableReturnData } = this.#options
    if (this.#logs.length >= this.#limit) {
      this.#last[this.#last.length - 1] = undefined
      return
    }
    const returnData = enableReturnData ? this.#returnData : undefined
    const items = (disableStack ? 0 : stack.length) + (enableMemory ? memory.length / 32 : 0)
    this.#budget.spend(STEP_BYTES + ITEM_BYTES * items + 2 * (returnData?.length ?? 0))
    const storage = disableStorage ? undefined : this.#storageAfter(code, address, stack)
    const log: StructLog = {
      pc,
      op: name,
      gas: Number(gas),
      gasCost: Number(gasCost),
      depth: depth + 1,
      ...(!disableStack && { stack: stack.map(hexNumber) }),
      ...(enableMemory && memory.length > 0 && { memory: words(memory) }),
      ...(storage && { storage }),
      ...(gasRefund > 0n && { refund: Number(gasRefund) }),
      ...(returnData && returnData.length > 0 && { returnData: bytesToHex(returnData) }),
    }
    this.#logs.push(log)
    this.#last[this.#last.length - 1] = log
  }

  result(gasUsed: bigint, { ok, output }: { ok: boolean; output: Uint8Array }): StructLogTrace {
    return { gas: Number(gasUsed), failed: !ok, returnValue: bytesToHex(output), structLogs: this.#logs }
  }

  #storageAfter(code: number, address: Address, stack: readonly bigint[]): Record<string, string> | undefined {
    if (code !== SLOAD && code !== SSTORE) return undefined
    const slot = stack.at(-1)
    const value = code === SSTORE ? stack.at(-2) : slot !== undefined && this.#readSlot(address, slot)
    if (slot === undefined || value === undefined || value === false) return undefined
    let touched = this.#storage.get(address)
    if (!touched) this.#storage.set(address, (touched = {}))
    touched[wordToBytes(slot).toHex()] = wordToBytes(value).toHex()
    this.#budget.spend(2 * ITEM_BYTES * Object.keys(touched).length)
    return { ...touched }
  }
}

function words(memory: Uint8Array): string[] {
  return Array.from({ length: memory.length / 32 }, (_, i) => memory.subarray(32 * i, 32 * i + 32).toHex())
}
