import { bytesToHex } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'
import type { AccountFields, StateManagerInterface } from '@ethereumjs/common'
import { Account, type Address as EvmAddress } from '@ethereumjs/util'
import type { JournaledState } from '../state/journaled-state.ts'
import { bytesToInteger, integerToBytes } from '../trie/rlp.ts'

/**
 * The state as `@ethereumjs/evm` wants to see it. Its interface is asynchronous; ours is not, so answers are given as
 * plain values, which `await` takes as well and faster than a promise.
 */
export class StateAdaptor implements StateManagerInterface {
  readonly #state: JournaledState
  readonly originalStorageCache: StateManagerInterface['originalStorageCache']

  constructor(state: JournaledState) {
    this.#state = state
    this.originalStorageCache = {
      get: (address, key) => now(integerToBytes(state.getOriginalStorage(toAddress(address), bytesToInteger(key)))),
      clear() {},
    }
  }

  /** A fresh object each time: the EVM changes what it gets before it decides whether to put it back. */
  getAccount(evmAddress: EvmAddress): Promise<Account | undefined> {
    const address = toAddress(evmAddress)
    const state = this.#state
    if (state.isEmpty(address)) return now(undefined)
    return now(
      new Account(
        state.getNonce(address),
        state.getBalance(address),
        state.getStorageRoot(address),
        state.getCodeHash(address),
      ),
    )
  }

  /** Code and storage have their own calls; the rest of an account is nonce and balance. */
  putAccount(evmAddress: EvmAddress, account?: Account): Promise<void> {
    const address = toAddress(evmAddress)
    if (account === undefined) return this.deleteAccount(evmAddress)
    this.#state.setNonce(address, account.nonce)
    this.#state.setBalance(address, account.balance)
    return now(undefined)
  }

  deleteAccount(address: EvmAddress): Promise<void> {
    this.#state.destroy(toAddress(address))
    return now(undefined)
  }

  modifyAccountFields(evmAddress: EvmAddress, fields: AccountFields): Promise<void> {
    const address = toAddress(evmAddress)
    if (fields.nonce !== undefined) this.#state.setNonce(address, fields.nonce)
    if (fields.balance !== undefined) this.#state.setBalance(address, fields.balance)
    return now(undefined)
  }

  putCode(address: EvmAddress, code: Uint8Array): Promise<void> {
    this.#state.setCode(toAddress(address), code)
    return now(undefined)
  }

  getCode(address: EvmAddress): Promise<Uint8Array> {
    return now(this.#state.getCode(toAddress(address)))
  }

  getCodeSize(address: EvmAddress): Promise<number> {
    return now(this.#state.getCode(toAddress(address)).length)
  }

  getStorage(address: EvmAddress, key: Uint8Array): Promise<Uint8Array> {
    return now(integerToBytes(this.#state.getStorage(toAddress(address), bytesToInteger(key))))
  }

  putStorage(address: EvmAddress, key: Uint8Array, value: Uint8Array): Promise<void> {
    this.#state.setStorage(toAddress(address), bytesToInteger(key), bytesToInteger(value))
    return now(undefined)
  }

  /** Called for an address about to be created: it cannot have storage, or creation would have been refused. */
  clearStorage(): Promise<void> {
    return now(undefined)
  }

  checkpoint(): Promise<void> {
    this.#state.checkpoint()
    return now(undefined)
  }

  commit(): Promise<void> {
    this.#state.commit()
    return now(undefined)
  }

  revert(): Promise<void> {
    this.#state.revert()
    return now(undefined)
  }

  clearCaches(): void {}

  // The EVM itself never asks for roots or copies.
  getStateRoot(): Promise<Uint8Array> {
    throw new Error('the root is the business of the trie')
  }

  setStateRoot(): Promise<void> {
    throw new Error('the root is the business of the trie')
  }

  hasStateRoot(): Promise<boolean> {
    throw new Error('the root is the business of the trie')
  }

  shallowCopy(): StateManagerInterface {
    throw new Error('there is one state')
  }
}

export function toAddress(address: EvmAddress): Address {
  return bytesToHex(address.bytes)
}

function now<T>(value: T): Promise<T> {
  return value as unknown as Promise<T>
}
