import { MEAN_DELAY_MS, type Plan } from './plan.ts'
import type { Random } from './random.ts'

/** Where a message goes: arrives after these delays (twice if duplicated), or is lost with its link. */
export type Fate = readonly number[] | 'lost'

/** How long messages take: before `chaosMs` by the plan, then calm. */
export class Network {
  readonly #plan: Plan
  readonly #random: Random
  readonly #matrix: number[] = []

  constructor(plan: Plan, random: Random) {
    this.#plan = plan
    this.#random = random
    for (let i = 0; i < plan.size * plan.size; i++) this.#matrix.push(random.between(0.2, 2.5) * MEAN_DELAY_MS)
  }

  fate(from: number, to: number, atMs: number): Fate {
    const { chaosMs, partitions, losses, duplicates } = this.#plan
    if (atMs >= chaosMs) return [this.#uniform()]
    let delay = this.#delay(from, to, atMs)
    for (const { fromMs, toMs, side, cuts } of partitions) {
      if (atMs < fromMs || atMs >= toMs || ((side >> from) & 1) === ((side >> to) & 1)) continue
      if (cuts) return 'lost'
      delay += toMs - atMs
    }
    while (losses > 0 && this.#random.chance(losses)) delay += 4 * MEAN_DELAY_MS
    return duplicates > 0 && this.#random.chance(duplicates) ? [delay, delay + this.#uniform()] : [delay]
  }

  #uniform(): number {
    return this.#random.between(0.5, 1.5) * MEAN_DELAY_MS
  }

  #delay(from: number, to: number, atMs: number): number {
    switch (this.#plan.delays) {
      case 'uniform':
        return this.#uniform()
      case 'exponential':
        return -Math.log(1 - this.#random.float()) * MEAN_DELAY_MS
      case 'heavy-tail':
        return Math.min(40, (1 - this.#random.float()) ** -0.8) * 0.4 * MEAN_DELAY_MS
      case 'matrix':
        return this.#matrix[from * this.#plan.size + to]! * this.#random.between(0.9, 1.1)
      case 'slow-quarter':
        return this.#uniform() * (this.#random.chance(0.25) ? 6 : 1)
      case 'starved': {
        // A few authors at a time, others a moment later: no round sees everybody.
        const starved = (Math.floor(atMs / (2 * MEAN_DELAY_MS)) * 7 + this.#plan.seed) % this.#plan.size
        const distance = (from - starved + this.#plan.size) % this.#plan.size
        return this.#uniform() * (distance < Math.floor((this.#plan.size - 1) / 3) ? 6 : 1)
      }
    }
  }
}
