import type { Address } from '@cumulus/types'
import type { BlockContext, ModuleMessage, ModuleResult } from '../framework/index.ts'

/** What execution may know about the chain block it is part of. */
export interface VmBlock extends BlockContext {
  readonly coinbase: Address
  readonly gasLimit: bigint
  readonly baseFee: bigint
  /** Hash of one of the last 256 chain blocks, for BLOCKHASH. */
  blockHash(number: bigint): Uint8Array
}

/** The outermost message of a transaction. Fees, nonce and intrinsic gas are the business of the caller. */
export interface VmMessage {
  readonly caller: Address
  /** Undefined creates a contract from `data`. */
  readonly to: Address | undefined
  readonly value: bigint
  readonly data: Uint8Array
  readonly gasLimit: bigint
  readonly gasPrice: bigint
  /** Addresses and slots that are warm from the start (EIP-2929, EIP-2930). */
  readonly warm: readonly { readonly address: Address; readonly slots: readonly Uint8Array[] }[]
}

export interface Log {
  readonly address: Address
  readonly topics: readonly Uint8Array[]
  readonly data: Uint8Array
}

export interface VmResult {
  readonly ok: boolean
  /** Why not ok: `revert`, `out of gas`, … */
  readonly error: string | undefined
  /** Return data, or revert data in Solidity's form. */
  readonly output: Uint8Array
  readonly gasUsed: bigint
  readonly gasRefund: bigint
  readonly logs: readonly Log[]
  readonly createdAddress: Address | undefined
  /** Accounts that this message both created and destroyed (EIP-6780). */
  readonly destroyed: readonly Address[]
}

/** The protocol modules as the VM meets them. `dispatch` answers reverts as a result; whatever it throws halts the ledger. */
export interface ModuleHost {
  has(address: Address): boolean
  dispatch(message: ModuleMessage, block: BlockContext): ModuleResult
}

/**
 * Executes messages on the one world state. Changes of a failed message are undone by the VM. A result is returned as
 * such where no bytecode ran, so that transfers and module calls cost no turn of the event loop.
 */
export interface Vm {
  run(message: VmMessage, block: VmBlock): VmResult | Promise<VmResult>
  /** Addresses that are warm in every transaction. */
  readonly precompiles: readonly Address[]
}

export type FrameType = 'CALL' | 'STATICCALL' | 'DELEGATECALL' | 'CALLCODE' | 'CREATE' | 'CREATE2' | 'SELFDESTRUCT'

/** A message as it begins. What it holds may be a view of memory that is used again: keep copies. */
export interface VmFrame {
  readonly type: FrameType
  /** The account on whose behalf it runs. */
  readonly from: Address
  /** Whose code runs; undefined in creations, for whom the outcome knows. */
  readonly to: Address | undefined
  /** Undefined under STATICCALL. */
  readonly value: bigint | undefined
  readonly gas: bigint
  readonly input: Uint8Array
}

/** One step of bytecode, before it is made. Arrays are views, as above. */
export interface VmStep {
  readonly pc: number
  readonly name: string
  readonly code: number
  readonly gas: bigint
  /** Without the gas that a call takes along. */
  readonly gasCost: bigint
  readonly gasRefund: bigint
  /** 0 for the outermost message. */
  readonly depth: number
  readonly stack: readonly bigint[]
  readonly memory: Uint8Array
  readonly address: Address
}

/** Watches a run. Whatever it throws ends the run. */
export interface VmTracer {
  enter(frame: VmFrame): void
  /** Of the frame entered last that is still open. */
  exit(outcome: Pick<VmResult, 'error' | 'output' | 'gasUsed' | 'createdAddress'>): void
  /** In the frame entered last that is still open. */
  log(log: Log): void
  /** Having this makes a run several times slower. */
  step?(step: VmStep): void
}
