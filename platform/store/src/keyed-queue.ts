/** Runs tasks of one key one after the other, and those of different keys side by side. */
export class KeyedQueue {
  readonly #tails = new Map<string, Promise<unknown>>()

  run<Value>(key: string, task: () => Promise<Value>): Promise<Value> {
    const before = this.#tails.get(key)
    const result = before ? before.then(task, task) : task()
    const tail = result.then(ignore, ignore).then(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    })
    this.#tails.set(key, tail)
    return result
  }

  /** Resolves when nothing is left to run. */
  async idle(): Promise<void> {
    while (this.#tails.size > 0) await Promise.all(this.#tails.values())
  }
}

function ignore(): void {}
