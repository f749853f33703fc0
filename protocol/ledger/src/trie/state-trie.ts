import { concatBytes, equalBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { type Account, decodeAccount, EMPTY_ACCOUNT, EMPTY_CODE_HASH, encodeAccount } from '../state/account.ts'
import { type DirtyAccount, slotKey } from '../state/journaled-state.ts'
import type { StateWrite } from '../state/ledger-store.ts'
import type { StateReader } from '../state/state-reader.ts'
import { bytesToInteger, encodeRlp, integerToBytes, wordToBytes } from './rlp.ts'
import { EMPTY_ROOT, type NodeStore, Trie } from './trie.ts'

/** An account and some of its slots with the trie nodes that prove them against a state root (EIP-1186). */
export interface AccountProof {
  readonly account: Account
  readonly accountProof: readonly Uint8Array[]
  readonly storageProofs: readonly { slot: bigint; value: bigint; proof: readonly Uint8Array[] }[]
}

export interface AppliedState {
  readonly root: Uint8Array
  readonly storageRoots: ReadonlyMap<DirtyAccount, Uint8Array>
  /** Flat tables and trie nodes; to be stored in one batch. */
  readonly writes: StateWrite[]
}

/** About 300 B each; the tries of a block may exceed it until the block ends. */
const NODES_KEPT = 100_000

const ACCOUNTS = Uint8Array.of(0)
const STORAGE = Uint8Array.of(1)

/** Ethereum's two-level state trie: addresses to accounts, and for each account slots to values. All keys are hashed. */
export class StateTrie {
  readonly #state: StateReader
  readonly #nodesKept: number
  readonly #accounts: Trie
  /** By address in hex, in the order of last use. */
  readonly #storage = new Map<string, Trie>()
  /** Where nodes go while a commit is under way. */
  #writes: StateWrite[] = []

  constructor(state: StateReader, root: Uint8Array = EMPTY_ROOT, nodesKept = NODES_KEPT) {
    this.#state = state
    this.#nodesKept = nodesKept
    this.#accounts = new Trie(this.#nodes(ACCOUNTS), root)
  }

  /** Brings the trie to the end of a block. Must be followed by storing `writes`, or the object be thrown away. */
  apply(dirty: readonly DirtyAccount[]): AppliedState {
    this.#writes = []
    const storageRoots = new Map<DirtyAccount, Uint8Array>()
    for (const account of dirty) {
      const storageRoot = account.slots.length > 0 ? this.#applySlots(account) : account.storageRoot
      storageRoots.set(account, storageRoot)
      const key = keccak256(account.address)
      if (account.nonce === 0n && account.balance === 0n && account.codeHash === EMPTY_CODE_HASH) {
        this.#accounts.delete(key)
        this.#writes.push({ table: 'account', key: account.address, value: undefined })
        continue
      }
      const leaf = encodeAccount({ ...account, storageRoot })
      this.#accounts.put(key, leaf)
      this.#writes.push({ table: 'account', key: account.address, value: leaf })
      if (account.newCode) this.#writes.push({ table: 'code', key: account.codeHash, value: account.newCode })
    }
    const root = this.#accounts.commit()
    this.#giveBack()
    return { root, storageRoots, writes: this.#writes }
  }

  /** Proof of what is, or is not, at the last root. */
  prove(address: Uint8Array, slots: readonly bigint[]): AccountProof {
    const stored = this.#state.get('account', address)
    const account = stored ? decodeAccount(stored) : EMPTY_ACCOUNT
    const accountProof = this.#accounts.prove(keccak256(address))
    const storage = this.#storageTrie(address, account.storageRoot)
    const storageProofs = slots.map((slot) => {
      const value = this.#state.get('slot', slotKey(address, slot))
      return { slot, value: value ? bytesToInteger(value) : 0n, proof: storage.prove(keccak256(wordToBytes(slot))) }
    })
    this.#giveBack()
    return { account, accountProof, storageProofs }
  }

  /** Nodes in memory; an upper bound in the middle of a block. */
  get nodeCount(): number {
    let count = this.#accounts.nodeCount
    for (const trie of this.#storage.values()) count += trie.nodeCount + 1
    return count
  }

  #applySlots(account: DirtyAccount): Uint8Array {
    const trie = this.#storageTrie(account.address, account.storageRoot)
    for (const { slot, value, before: replaced } of account.slots) {
      const before = replaced === undefined ? undefined : integerToBytes(replaced)
      const word = wordToBytes(slot)
      const key = concatBytes(account.address, word)
      if (value === 0n) {
        trie.delete(keccak256(word))
        this.#writes.push({ table: 'slot', key, value: undefined, before })
      } else {
        const bytes = integerToBytes(value)
        trie.put(keccak256(word), encodeRlp(bytes))
        this.#writes.push({ table: 'slot', key, value: bytes, before })
      }
    }
    const root = trie.commit()
    // The shared object tells `JournaledState` that there is no storage.
    return equalBytes(root, EMPTY_ROOT) ? EMPTY_ROOT : root
  }

  #storageTrie(address: Uint8Array, root: Uint8Array): Trie {
    const key = address.toHex()
    const trie = this.#storage.get(key) ?? new Trie(this.#nodes(concatBytes(STORAGE, address)), root)
    this.#storage.delete(key)
    this.#storage.set(key, trie)
    return trie
  }

  #giveBack(): void {
    this.#accounts.unload(this.#nodesKept >> 1)
    let count = 0
    for (const trie of this.#storage.values()) count += trie.nodeCount + 1
    for (const [key, trie] of this.#storage) {
      if (count <= this.#nodesKept >> 1) break
      count -= trie.nodeCount + 1
      this.#storage.delete(key)
    }
  }

  #nodes(prefix: Uint8Array): NodeStore {
    const keyOf = (path: Uint8Array) => {
      const key = new Uint8Array(prefix.length + path.length)
      key.set(prefix)
      key.set(path, prefix.length)
      return key
    }
    return {
      read: (path, hash) => this.#state.node(keyOf(path), hash),
      write: (path, rlp, before) => {
        this.#writes.push({ table: 'node', key: keyOf(path), value: rlp, before })
      },
    }
  }
}
