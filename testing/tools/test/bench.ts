import type { HardhatProject, LocalChain } from '../src/index.ts'

/** What every user of the chain is given. */
export interface Bench {
  readonly chain: LocalChain
  /** Compiled. */
  readonly project: HardhatProject
}
