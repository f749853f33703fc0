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
  /** Wei that a unit of gas costs at least, and that is burnt. Absent where gas is not paid for, as in tests of modules. */
  readonly baseFee?: bigint
}

/** What the transactions of a chain block came to: hooks, which run behind them, may know. */
export interface BlockOutcome {
  /** The account that gets the tips. */
  readonly coinbase: Address
  /** Wei that went nowhere: base fees, and what destroyed contracts still held. */
  readonly burnt: bigint
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

type Hex = `0x${string}`

/** Who orders from the first era on, and by which coin. All bytes in lower-case hex. */
export interface GenesisCommittee {
  /** 1 to 31; a member's index is its place here. */
  readonly members: readonly {
    readonly account: Address
    /** 32 bytes, Ed25519: identity of the connection, and signer of what it proposes. */
    readonly peerKey: Hex
    /** 48 bytes in G1: votes for chain blocks. */
    readonly blsKey: Hex
    /** 96 bytes in G2: proof that the member knows the secret of `blsKey`. */
    readonly blsProof: Hex
    /** Multiaddress that the others dial. */
    readonly address: string
  }[]
  readonly coin: /** Made by one dealer, who knew all shares: for development. `shareKeys` in the order of the members. */
    | { readonly mode: 'dealt'; readonly publicKey: Hex; readonly shareKeys: readonly Hex[] }
    /** Computed from public data: safe, but live only while nobody works against it. */
    | { readonly mode: 'public' }
}

/** Whose word the register of TEE workers takes. */
export interface GenesisAttestation {
  /** Whether workers without a TEE may say that they have one: for development. */
  readonly simulated: boolean
  /** 32 bytes each in lower-case hex: the builds that are trusted from the start. */
  readonly measurements: readonly Hex[]
}

/** What modules are told in the first chain block. */
export interface ModuleGenesis {
  /** Wei by module name. A module that needs funds and is not named here takes its own default. */
  readonly balances?: Readonly<Record<string, bigint>>
  /** Wei on all accounts that are no modules. */
  readonly allocated?: bigint
  /** Absent: one validator orders alone. */
  readonly committee?: GenesisCommittee
  /** Absent: nothing is simulated and nothing trusted yet. */
  readonly attestation?: GenesisAttestation
}
