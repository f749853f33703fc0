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
