import { PriorityQueue } from './priority-queue.ts'

/**
 * What a waiting transaction is worth to the pool. The standing decides first, so that what cannot be executed never
 * pushes out what can, whatever it promises to pay.
 */
export interface Rank {
  readonly standing: Standing
  /** Wei per gas for the coinbase at the present base fee; below zero, it cannot be executed. */
  readonly tip: bigint
}

/** Lowest first. */
export const standings = {
  /** Its price, or that of one before it, is below the base fee. */
  unpayable: 0,
  /** It misses an earlier nonce. */
  queued: 1,
  executable: 2,
} as const

type Standing = (typeof standings)[keyof typeof standings]

export function isBelow(a: Rank, b: Rank): boolean {
  return a.standing < b.standing || (a.standing === b.standing && a.tip < b.tip)
}

/** The last transaction of a sender: only that can go without stranding others. */
export interface Tail<Sender, Entry> {
  readonly sender: Sender
  readonly entry: Entry
  /** Whether it misses an earlier nonce, payable or not. */
  readonly isQueued: boolean
  readonly rank: Rank
}

/** Tails in the order in which a full pool gives them up. Changes cost O(log n): what is out of date is passed over later. */
export class EvictionOrder<Sender, Entry extends { readonly isTaken: boolean }> {
  readonly #tails = new Map<Sender, Tail<Sender, Entry>>()
  #all = tailQueue<Sender, Entry>()
  #queued = tailQueue<Sender, Entry>()

  /** Replaces what was said of that sender. */
  set(sender: Sender, tail: Tail<Sender, Entry> | undefined): void {
    if (!tail) {
      this.#tails.delete(sender)
      return
    }
    this.#tails.set(sender, tail)
    this.#push(tail)
    if (this.#all.count > 4 * this.#tails.size + 64) this.#rebuild()
  }

  /** The first to go, or the first of those that miss a nonce; never one that was handed out, or of sender `except`. */
  lowest(except: Sender | undefined, isQueued: boolean): Tail<Sender, Entry> | undefined {
    const queue = isQueued ? this.#queued : this.#all
    let own: Tail<Sender, Entry> | undefined
    let found: Tail<Sender, Entry> | undefined
    for (let tail = queue.pop(); tail; tail = queue.pop()) {
      if (this.#tails.get(tail.sender) !== tail || tail.entry.isTaken) continue
      if (tail.sender === except) own = tail
      else {
        found = tail
        break
      }
    }
    for (const tail of [own, found]) if (tail) queue.push(tail)
    return found
  }

  #push(tail: Tail<Sender, Entry>): void {
    this.#all.push(tail)
    if (tail.isQueued) this.#queued.push(tail)
  }

  #rebuild(): void {
    this.#all = tailQueue()
    this.#queued = tailQueue()
    for (const tail of this.#tails.values()) this.#push(tail)
  }
}

function tailQueue<Sender, Entry>(): PriorityQueue<Tail<Sender, Entry>> {
  return new PriorityQueue((a, b) => isBelow(a.rank, b.rank))
}
