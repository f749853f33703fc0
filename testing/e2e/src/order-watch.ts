import { setTimeout as sleep } from 'node:timers/promises'
import type { ValidatorProcess } from './validator-network.ts'

/** What was seen of the order of some members. */
export interface OrderSeen {
  /** Most rounds that a member was ahead of its decisions. */
  readonly decidedGapMax: number
  /** Longest pause of a member without a decision, in looks at each. */
  readonly pauseLooksMax: number
}

/**
 * Looks at members again and again: how far decisions are behind the rounds, and how long none comes. That is told in looks, not in
 * seconds: where the machine is short of time, whoever looks is slow as well.
 */
export class OrderWatch {
  readonly #members: readonly ValidatorProcess[]
  #isStopped = false
  #decidedGapMax = 0
  /** At all members: those at others count while one does not answer. */
  #lookCount = 0
  #pauseMax = 0
  readonly #running: Promise<unknown>

  private constructor(members: readonly ValidatorProcess[]) {
    this.#members = members
    this.#running = Promise.all(members.map((member) => this.#watch(member)))
  }

  static start(members: readonly ValidatorProcess[]): OrderWatch {
    return new OrderWatch(members)
  }

  async stop(): Promise<OrderSeen> {
    this.#isStopped = true
    await this.#running
    return { decidedGapMax: this.#decidedGapMax, pauseLooksMax: this.#pauseMax / this.#members.length }
  }

  async #watch(member: ValidatorProcess): Promise<void> {
    let decidedRound = -1
    let pauseStart = this.#lookCount
    while (!this.#isStopped) {
      const order = await member.order()
      this.#lookCount++
      // One that lasts is a pause as well.
      this.#pauseMax = Math.max(this.#pauseMax, this.#lookCount - pauseStart)
      if (order) this.#decidedGapMax = Math.max(this.#decidedGapMax, order.round - order.decidedRound)
      if (order && order.decidedRound > decidedRound) {
        decidedRound = order.decidedRound
        pauseStart = this.#lookCount
      }
      // A scenario that failed may leave it behind: it holds up nobody.
      await sleep(50, undefined, { ref: false })
    }
  }
}
