/** Seeded random numbers: sfc32 (PractRand), seeded by splitmix32. Equal seeds, equal draws, on every machine. */
export class Random {
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number) {
    let state = seed | 0
    const split = (): number => {
      state = (state + 0x9e37_79b9) | 0
      let z = Math.imul(state ^ (state >>> 16), 0x21f0_aaad)
      z = Math.imul(z ^ (z >>> 15), 0x735a_2d97)
      return z ^ (z >>> 15)
    }
    this.#a = split()
    this.#b = split() ^ Math.floor(seed / 2 ** 32)
    this.#c = split()
    for (let i = 0; i < 12; i++) this.u32()
  }

  u32(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** 0 ≤ x < 1. */
  float(): number {
    return this.u32() / 2 ** 32
  }

  /** Integer 0 ≤ x < limit. */
  below(limit: number): number {
    return Math.floor(this.float() * limit)
  }

  between(low: number, high: number): number {
    return low + this.float() * (high - low)
  }

  chance(probability: number): boolean {
    return this.float() < probability
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!
  }

  /** `count` distinct numbers below `limit`, in random order. */
  sample(limit: number, count: number): number[] {
    const all = Array.from({ length: limit }, (_, i) => i)
    for (let i = 0; i < count; i++) {
      const j = i + this.below(limit - i)
      const item = all[i]!
      all[i] = all[j]!
      all[j] = item
    }
    return all.slice(0, count)
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.u32() & 255)
  }
}
