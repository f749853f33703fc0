import type { Params } from '@cumulus/params'
import type { Address } from '@cumulus/types'

/** How the EVM came here. Modules answer `call` and `staticcall` only: the others would run them on foreign storage. */
export type CallKind = 'call' | 'delegatecall' | 'callcode' | 'staticcall'

/** One call of a module, as the EVM hands it over. */
export interface ModuleMessage {
  readonly caller: Address
  /** The module's address. */
  readonly to: Address
  /** Wei sent along. It is already on the module's account; if the call fails, whoever moved it moves it back. */
  readonly value: bigint
  readonly data: Uint8Array
  /** Whether any frame above is a STATICCALL: nothing may be written. */
  readonly isStatic: boolean
  readonly kind: CallKind
  readonly gasLimit: bigint
  /** The account that signed the transaction. */
  readonly origin: Address
}

/** What a module may know about the chain block it runs in. */
export interface BlockContext {
  readonly number: bigint
  /** Seconds since 1970. */
  readonly timestamp: bigint
  /** The beacon of this block, 32 bytes. */
  readonly prevRandao: Uint8Array
  readonly chainId: number
  readonly params: Params
  readonly epoch: number
  readonly era: number
}

export interface ModuleLog {
  readonly address: Address
  /** 32 bytes each; the first one is the hash of the event's signature. */
  readonly topics: Uint8Array[]
  readonly data: Uint8Array
}

/** What a call did. If not `ok`, the state is as it was and `output` is revert data in Solidity's form. */
export interface ModuleResult {
  readonly ok: boolean
  readonly output: Uint8Array
  readonly gasUsed: bigint
  readonly logs: ModuleLog[]
}

/** What modules find on their accounts in the first chain block. */
export interface ModuleGenesis {
  /** Wei by module name. A module that needs funds and is not named here takes its own default. */
  readonly balances?: Readonly<Record<string, bigint>>
}
