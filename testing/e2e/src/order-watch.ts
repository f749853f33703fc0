import { setTimeout as sleep } from 'node:timers/promises'
import type { ValidatorProcess } from './validator-network.ts'

/** Looks at members again and again, and keeps how far decisions were behind the rounds. */
export class OrderWatch {
  #isStopped = false
  #decidedGapMax = 0
  readonly #running: Promise<unknown>

  private constructor(members: readonly ValidatorProcess[]) {
    this.#running = Promise.all(members.map((member) => this.#watch(member)))
  }

  static start(members: readonly ValidatorProcess[]): OrderWatch {
    return new OrderWatch(members)
  }

  async stop(): Promise<{ readonly decidedGapMax: number }> {
    this.#isStopped = true
    await this.#running
    return { decidedGapMax: this.#decidedGapMax }
  }

  async #watch(member: ValidatorProcess): Promise<void> {
    while (!this.#isStopped) {
      const order = await member.order()
      if (order) this.#decidedGapMax = Math.max(this.#decidedGapMax, order.round - order.decidedRound)
      await sleep(50)
    }
  }
}
