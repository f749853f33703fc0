import type { Params } from '@cumulus/params'
import type { ModuleRegistry } from '../framework/index.ts'
import type { HistoryLimits } from '../state/history.ts'
import type { StateLimits } from '../state/journaled-state.ts'
import type { LedgerStore } from '../state/ledger-store.ts'
import type { Genesis } from './genesis.ts'

/** What the ledger needs of the protocol modules. */
export type LedgerModules = Pick<ModuleRegistry, 'addresses' | 'has' | 'genesis' | 'dispatch' | 'onBlock'> &
  Partial<Pick<ModuleRegistry, 'hookWork'>>

export interface LedgerInit {
  readonly params: Params
  readonly genesis: Genesis
  readonly store: LedgerStore
  readonly modules: LedgerModules
  readonly limits?: LedgerLimits
  /**
   * Asked between transactions and every few hundred jumps within one, by blocks, calls and traces alike: whoever shares
   * the thread returns now and then what is to be waited for before work goes on.
   */
  pause?(): Promise<unknown> | undefined
}

export interface LedgerLimits {
  readonly state?: Partial<StateLimits>
  /** Trie nodes kept in memory, about 300 B each. */
  readonly trieNodes?: number
  /** Blocks that one log query may span. */
  readonly logBlocks?: number
  /** Logs that one query may return. */
  readonly logResults?: number
  /** Calls and estimates that may be under way at once, and those together with what waits for them. */
  readonly concurrentCalls?: number
  readonly waitingCalls?: number
  /** Traces that may be under way or waiting; one runs at a time. */
  readonly waitingTraces?: number
  /** What the result of one trace may take, about. */
  readonly traceBytes?: number
  /** How many blocks back the state can be read. */
  readonly history?: Partial<HistoryLimits>
}

export const DEFAULT_LIMITS = {
  trieNodes: 100_000,
  logBlocks: 10_000,
  logResults: 10_000,
  concurrentCalls: 4,
  waitingCalls: 1_024,
  waitingTraces: 16,
  traceBytes: 64 * 2 ** 20,
}
