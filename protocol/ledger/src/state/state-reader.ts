import type { LedgerStore } from './ledger-store.ts'

/** The state as of one chain block: what execution, calls, proofs and traces read. */
export interface StateReader {
  get(table: 'account' | 'slot' | 'code', key: Uint8Array): Uint8Array | undefined
  /** The trie node at `key` of the table `node`, whose Keccak-256 is `hash`. */
  node(key: Uint8Array, hash: Uint8Array): Uint8Array | undefined
}

/** The state of the last block in `store`, whichever that is at the moment. */
export function readerOf(store: Pick<LedgerStore, 'get'>): StateReader {
  return {
    get: (table, key) => store.get(table, key),
    node: (key) => store.get('node', key),
  }
}
