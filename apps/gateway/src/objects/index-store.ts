/** Ordered bytes to bytes, as the index needs them. Values handed out are the caller's to keep. */
export interface Table {
  get(key: Uint8Array): Uint8Array | undefined
  put(key: Uint8Array, value: Uint8Array): void
  delete(key: Uint8Array): void
  /** Ascending by bytes, from `start` (inclusive) to `end` (exclusive). */
  range(start: Uint8Array, end?: Uint8Array): Iterable<{ key: Uint8Array; value: Uint8Array }>
}

/** Tables under one transaction at a time. */
export interface IndexStore {
  table(name: string): Table
  /** All writes inside become visible together, or, if `work` throws, none. Not nested. */
  transact<Result>(work: () => Result): Result
  /** Resolves when everything committed so far survives a power failure. */
  flushed(): Promise<void>
  close(): Promise<void>
}
