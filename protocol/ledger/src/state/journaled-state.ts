import assert from 'node:assert/strict'
import { bytesToHex, concatBytes, equalBytes, hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import type { Address } from '@cumulus/types'
import { bytesToInteger, wordToBytes } from '../trie/rlp.ts'
import { EMPTY_ROOT } from '../trie/trie.ts'
import type { WorldState } from '../world-state.ts'
import { decodeAccount, EMPTY_ACCOUNT, EMPTY_CODE_HASH } from './account.ts'
import type { StateReader } from './state-reader.ts'

/** How much of the state is kept in memory between blocks. One account is about 500 B, one slot 100 B. */
export interface StateLimits {
  readonly cachedAccounts: number
  readonly cachedSlots: number
  /** Bytes of contract code; each code once, however many accounts have it. */
  readonly cachedCodeBytes: number
}

const DEFAULT_LIMITS: StateLimits = { cachedAccounts: 50_000, cachedSlots: 200_000, cachedCodeBytes: 32 * 2 ** 20 }

const NO_CODE = new Uint8Array(0)
const MAX_WORD = (1n << 256n) - 1n

/** An account that the block changed, as it is at the end of the block. */
export interface DirtyAccount {
  readonly address: Uint8Array
  readonly nonce: bigint
  readonly balance: bigint
  /** As it was before the block: the trie computes the new one. */
  readonly storageRoot: Uint8Array
  readonly codeHash: Uint8Array
  /** Code that was not there before the block. */
  readonly newCode: Uint8Array | undefined
  /** Slots that differ from before the block; 0 = gone. */
  readonly slots: readonly DirtySlot[]
}

export interface DirtySlot {
  readonly slot: bigint
  readonly value: bigint
  /** What was there before the block, where it is known; 0 = nothing. */
  readonly before?: bigint
}

interface Entry {
  readonly bytes: Uint8Array
  nonce: bigint
  balance: bigint
  storageRoot: Uint8Array
  codeHash: Uint8Array
  /** Of code that the block has set; other code is found by its hash. */
  code: Uint8Array | undefined
  /** Current values of every slot that was read or written. */
  readonly slots: Map<bigint, bigint>
  /** What was there before the block, noted at the first change. */
  before: { nonce: bigint; balance: bigint; codeHash: Uint8Array } | undefined
  readonly slotsBefore: Map<bigint, bigint>
  /** What was there before the transaction `transaction`, for the gas of SSTORE (EIP-2200). */
  readonly originals: Map<bigint, bigint>
  transaction: number
  usedIn: number
}

type Undo =
  | { readonly kind: 'balance' | 'nonce'; readonly entry: Entry; readonly previous: bigint }
  | {
      readonly kind: 'code'
      readonly entry: Entry
      readonly previous: Uint8Array | undefined
      readonly previousHash: Uint8Array
    }
  | { readonly kind: 'slot'; readonly entry: Entry; readonly slot: bigint; readonly previous: bigint }

/**
 * The state between two blocks: maps over the store's flat tables with one undo log. A checkpoint is a mark in the log,
 * so it costs the same however much has changed; the trie is not touched before the block ends.
 *
 * An account exists if it has a nonce, a balance or code (EIP-161); there is no other flag to go wrong.
 */
export class JournaledState implements WorldState {
  #store: Pick<StateReader, 'get'>
  readonly #limits: StateLimits
  /** By address in lower case. */
  readonly #entries = new Map<Address, Entry>()
  readonly #dirty = new Set<Entry>()
  readonly #log: Undo[] = []
  readonly #marks: number[] = []
  /** By hash in hex, last used last. */
  readonly #codes = new Map<string, Uint8Array>()
  #slotCount = 0
  #codeBytes = 0
  #transaction = 0
  #block = 0

  constructor(store: Pick<StateReader, 'get'>, limits: Partial<StateLimits> = {}) {
    this.#store = store
    this.#limits = { ...DEFAULT_LIMITS, ...limits }
  }

  getBalance(address: Address): bigint {
    return this.#entry(address).balance
  }

  setBalance(address: Address, balance: bigint): void {
    // Callers check funds; a balance out of range here is a bug that would mint or burn.
    assert(balance >= 0n && balance <= MAX_WORD, `balance ${balance} of ${address} is out of range`)
    const entry = this.#entry(address)
    if (entry.balance === balance) return
    this.#touch(entry)
    this.#log.push({ kind: 'balance', entry, previous: entry.balance })
    entry.balance = balance
  }

  getNonce(address: Address): bigint {
    return this.#entry(address).nonce
  }

  setNonce(address: Address, nonce: bigint): void {
    assert(nonce >= 0n && nonce < 1n << 64n, `nonce ${nonce} of ${address} is out of range`)
    const entry = this.#entry(address)
    if (entry.nonce === nonce) return
    this.#touch(entry)
    this.#log.push({ kind: 'nonce', entry, previous: entry.nonce })
    entry.nonce = nonce
  }

  getCode(address: Address): Uint8Array {
    const entry = this.#entry(address)
    return entry.code ?? this.#loadCode(entry.codeHash)
  }

  setCode(address: Address, code: Uint8Array): void {
    const entry = this.#entry(address)
    const codeHash = code.length === 0 ? EMPTY_CODE_HASH : keccak256(code)
    if (equalBytes(codeHash, entry.codeHash)) return
    this.#touch(entry)
    this.#log.push({ kind: 'code', entry, previous: entry.code, previousHash: entry.codeHash })
    entry.code = code.slice()
    entry.codeHash = codeHash
  }

  getStorage(address: Address, slot: bigint): bigint {
    return this.#slot(this.#entry(address), slot)
  }

  setStorage(address: Address, slot: bigint, value: bigint): void {
    assert(slot >= 0n && slot <= MAX_WORD && value >= 0n && value <= MAX_WORD, 'slot or value is out of range')
    const entry = this.#entry(address)
    const previous = this.#slot(entry, slot)
    if (previous === value) return
    this.#touch(entry)
    if (!entry.slotsBefore.has(slot)) entry.slotsBefore.set(slot, previous)
    if (entry.transaction !== this.#transaction) {
      entry.originals.clear()
      entry.transaction = this.#transaction
    }
    if (!entry.originals.has(slot)) entry.originals.set(slot, previous)
    this.#log.push({ kind: 'slot', entry, slot, previous })
    entry.slots.set(slot, value)
  }

  checkpoint(): void {
    this.#marks.push(this.#log.length)
  }

  commit(): void {
    assert(this.#marks.length > 0, 'commit without a checkpoint')
    this.#marks.pop()
    if (this.#marks.length === 0) this.#log.length = 0
  }

  revert(): void {
    const mark = this.#marks.pop()
    assert(mark !== undefined, 'revert without a checkpoint')
    while (this.#log.length > mark) {
      const undo = this.#log.pop()!
      const { entry } = undo
      if (undo.kind === 'slot') entry.slots.set(undo.slot, undo.previous)
      else if (undo.kind === 'code') {
        entry.code = undo.previous
        entry.codeHash = undo.previousHash
      } else entry[undo.kind] = undo.previous
    }
  }

  /** From here on `getOriginalStorage` answers with the values of now. */
  beginTransaction(): void {
    assert(this.#marks.length === 0, 'a transaction begins with no checkpoint open')
    this.#transaction++
  }

  /** The slot as it was when the transaction began. */
  getOriginalStorage(address: Address, slot: bigint): bigint {
    const entry = this.#entry(address)
    const original = entry.transaction === this.#transaction ? entry.originals.get(slot) : undefined
    return original ?? this.#slot(entry, slot)
  }

  /** Whether the account is empty in the sense of EIP-161, which is the same as not being there. */
  isEmpty(address: Address): boolean {
    const entry = this.#entry(address)
    return entry.nonce === 0n && entry.balance === 0n && entry.codeHash === EMPTY_CODE_HASH
  }

  getCodeHash(address: Address): Uint8Array {
    return this.#entry(address).codeHash
  }

  /** Root of the account's storage before the block. */
  getStorageRoot(address: Address): Uint8Array {
    return this.#entry(address).storageRoot
  }

  /** Removes an account that was created in this very transaction (EIP-6780), so that all its slots are at hand. */
  destroy(address: Address): void {
    const entry = this.#entry(address)
    assert(entry.storageRoot === EMPTY_ROOT, 'only accounts of this transaction are destroyed')
    this.setBalance(address, 0n)
    this.setNonce(address, 0n)
    this.setCode(address, NO_CODE)
    for (const [slot, value] of entry.slots) if (value !== 0n) this.setStorage(address, slot, 0n)
  }

  /** Wei that there are more than before the block, on all accounts together; below zero where tokens were burnt. */
  supplyChange(): bigint {
    let change = 0n
    for (const { balance, before } of this.#dirty) change += balance - before!.balance
    return change
  }

  /** What the block changed, net. */
  writeSet(): DirtyAccount[] {
    assert(this.#marks.length === 0, 'a block ends with no checkpoint open')
    const set: DirtyAccount[] = []
    for (const entry of this.#dirty) {
      const slots: DirtySlot[] = []
      for (const [slot, before] of entry.slotsBefore) {
        const value = entry.slots.get(slot)!
        if (value !== before) slots.push({ slot, value, before })
      }
      const before = entry.before!
      const isCodeNew = !equalBytes(before.codeHash, entry.codeHash)
      if (!isCodeNew && slots.length === 0 && before.nonce === entry.nonce && before.balance === entry.balance) continue
      set.push({
        address: entry.bytes,
        nonce: entry.nonce,
        balance: entry.balance,
        storageRoot: entry.storageRoot,
        codeHash: entry.codeHash,
        newCode: isCodeNew && entry.code!.length > 0 ? entry.code : undefined,
        slots,
      })
    }
    return set
  }

  /**
   * Ends the block after its write set has been stored: what is now is what was before. Memory above the limits is given
   * back, longest unused first.
   */
  endBlock(storageRoots: ReadonlyMap<DirtyAccount, Uint8Array>): void {
    for (const [account, root] of storageRoots) this.#entries.get(bytesToHex(account.address))!.storageRoot = root
    this.#settle()
    this.#block++
  }

  /** Undoes whatever was done since the outermost checkpoint. */
  revertAll(): void {
    while (this.#marks.length > 0) this.revert()
  }

  /** Forgets everything and goes on with another state. */
  reset(store: Pick<StateReader, 'get'>): void {
    this.#store = store
    this.#entries.clear()
    this.#dirty.clear()
    this.#log.length = 0
    this.#marks.length = 0
    this.#slotCount = 0
  }

  /** Gives an account other storage altogether: what is not named here is 0. For trials only. */
  replaceStorage(address: Address, slots: Iterable<readonly [slot: bigint, value: bigint]>): void {
    const entry = this.#entry(address)
    this.#slotCount -= entry.slots.size
    entry.slots.clear()
    entry.storageRoot = EMPTY_ROOT
    for (const [slot, value] of slots) this.setStorage(address, slot, value)
  }

  /** Accounts and slots that the block has changed so far: at most `limit`, and as many of each. */
  changed(limit: number): { address: Address; slots: bigint[] }[] {
    const accounts: { address: Address; slots: bigint[] }[] = []
    for (const { bytes, slotsBefore } of this.#dirty) {
      if (accounts.length === limit) break
      accounts.push({ address: `0x${bytes.toHex()}`, slots: [...slotsBefore.keys()].slice(0, limit) })
    }
    return accounts
  }

  #settle(): void {
    for (const entry of this.#dirty) {
      entry.before = undefined
      entry.code = undefined
      entry.slotsBefore.clear()
    }
    this.#dirty.clear()
    this.#log.length = 0
    this.#trim()
  }

  #trim(): void {
    const { cachedAccounts, cachedSlots } = this.#limits
    const isOver = () => this.#entries.size > cachedAccounts || this.#slotCount > cachedSlots
    // First what this block did not use, then, if one block alone is over the limit, everything.
    for (const keepSince of [this.#block, this.#block + 1]) {
      if (!isOver()) return
      for (const [key, entry] of this.#entries) {
        if (entry.usedIn >= keepSince) continue
        this.#entries.delete(key)
        this.#slotCount -= entry.slots.size
        if (!isOver()) return
      }
    }
  }

  #touch(entry: Entry): void {
    if (entry.before !== undefined) return
    entry.before = { nonce: entry.nonce, balance: entry.balance, codeHash: entry.codeHash }
    this.#dirty.add(entry)
  }

  #entry(address: Address): Entry {
    // Almost always it comes in lower case, and is known. A string made here would have to be hashed each time.
    const known = this.#entries.get(address)
    if (known !== undefined) {
      known.usedIn = this.#block
      return known
    }
    const key = address.toLowerCase() as Address
    let entry = this.#entries.get(key)
    if (entry === undefined) {
      const bytes = hexToBytes(key)
      assert(bytes.length === 20, `${address} is not an address`)
      const stored = this.#store.get('account', bytes)
      const account = stored ? decodeAccount(stored) : EMPTY_ACCOUNT
      entry = {
        bytes,
        nonce: account.nonce,
        balance: account.balance,
        // One object each stands for "no storage" and "no code", so that a reference tells.
        storageRoot: equalBytes(account.storageRoot, EMPTY_ROOT) ? EMPTY_ROOT : account.storageRoot,
        codeHash: equalBytes(account.codeHash, EMPTY_CODE_HASH) ? EMPTY_CODE_HASH : account.codeHash,
        code: undefined,
        slots: new Map(),
        before: undefined,
        slotsBefore: new Map(),
        originals: new Map(),
        transaction: -1,
        usedIn: this.#block,
      }
      this.#entries.set(key, entry)
    }
    entry.usedIn = this.#block
    return entry
  }

  #slot(entry: Entry, slot: bigint): bigint {
    let value = entry.slots.get(slot)
    if (value === undefined) {
      // An account without storage before the block has no slots in the store.
      const stored = entry.storageRoot === EMPTY_ROOT ? undefined : this.#store.get('slot', slotKey(entry.bytes, slot))
      value = stored ? bytesToInteger(stored) : 0n
      entry.slots.set(slot, value)
      this.#slotCount++
    }
    return value
  }

  #loadCode(codeHash: Uint8Array): Uint8Array {
    if (codeHash === EMPTY_CODE_HASH) return NO_CODE
    const key = codeHash.toHex()
    let code = this.#codes.get(key)
    if (code === undefined) {
      const stored = this.#store.get('code', codeHash)
      assert(stored !== undefined, `code ${key} is lost`)
      code = stored.slice()
      this.#codeBytes += code.length
    } else this.#codes.delete(key)
    this.#codes.set(key, code)
    for (const [oldest, { length }] of this.#codes) {
      if (this.#codeBytes <= this.#limits.cachedCodeBytes) break
      this.#codes.delete(oldest)
      this.#codeBytes -= length
    }
    return code
  }

  /** What is in memory. */
  get cached(): { accounts: number; slots: number; codeBytes: number } {
    return { accounts: this.#entries.size, slots: this.#slotCount, codeBytes: this.#codeBytes }
  }
}

export function slotKey(address: Uint8Array, slot: bigint): Uint8Array {
  return concatBytes(address, wordToBytes(slot))
}
