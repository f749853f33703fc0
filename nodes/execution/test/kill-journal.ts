import type { JournalEntry } from '../src/mempool-journal.ts'

/** Behind the fourth, the journal is rewritten with `KEPT`; the rest is appended to the new file. */
export const ENTRIES: readonly JournalEntry[] = Array.from({ length: 6 }, (_, i) => ({
  raw: new Uint8Array(50 + i).fill(i + 1),
  addedAtMs: 1_000 + i,
}))
export const KEPT: readonly number[] = [1, 3]
