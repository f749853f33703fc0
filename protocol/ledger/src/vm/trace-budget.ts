import { LedgerError } from '../ledger-error.ts'

/** How much a trace may hold before it is given up. */
export class TraceBudget {
  readonly #limit: number
  #left: number

  constructor(bytes: number) {
    this.#limit = bytes
    this.#left = bytes
  }

  /** @throws LedgerError TOO_MUCH */
  spend(bytes: number): void {
    this.#left -= bytes
    if (this.#left < 0) {
      throw new LedgerError('TOO_MUCH', `a trace holds at most ${this.#limit} bytes`, { limit: this.#limit })
    }
  }
}
