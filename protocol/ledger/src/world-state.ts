import type { Address } from '@cumulus/types'

/**
 * Accounts and their storage as execution sees them: synchronous, journaled, O(1). The EVM's state manager and the
 * protocol modules work on one and the same instance, so that nothing can be true in one and false in the other.
 *
 * Slots and values are bigints below 2^256; a value of 0 means "no such slot", as in Ethereum.
 */
export interface WorldState {
  getBalance(address: Address): bigint
  setBalance(address: Address, balance: bigint): void
  getNonce(address: Address): bigint
  setNonce(address: Address, nonce: bigint): void
  getCode(address: Address): Uint8Array
  setCode(address: Address, code: Uint8Array): void
  getStorage(address: Address, slot: bigint): bigint
  setStorage(address: Address, slot: bigint, value: bigint): void
  /** Marks the journal. Every checkpoint is ended by exactly one `revert` or `commit`, innermost first. */
  checkpoint(): void
  revert(): void
  commit(): void
}
