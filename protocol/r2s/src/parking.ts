import { type Block, type BlockRef, refOf } from './block.ts'
import { DigestMap, RefMap } from './digest-map.ts'
import type { R2sParams } from './r2s-params.ts'

/** A valid block that waits for ancestors or for its time. */
export interface Parked {
  readonly block: Block
  /** Who sent it, and so has its ancestors. */
  readonly from: number
  /** It came as the answer to a question. */
  readonly fetched: boolean
  missingCount: number
  /** Its author's clock runs ahead: not before this time. 0 if not so. */
  readonly notBeforeMs: number
}

/** An ancestor nobody has sent yet. */
interface Want {
  readonly ref: BlockRef
  readonly waiting: Set<Parked>
  readonly source: number
  attempts: number
  askAtMs: number
}

/**
 * SPEC 2.3: what has arrived but cannot be accepted, and what is asked for because of it. Per author at most
 * `perAuthorMax` blocks that nobody waits for (the lowest rounds stay) and as many that somebody does.
 */
export class Parking {
  readonly #perAuthorMax: number
  readonly #retryMs: number
  readonly #parked = new DigestMap<Parked>()
  readonly #byAuthor: Parked[][]
  readonly #wants = new RefMap<Want>()
  #askAtMs = Number.POSITIVE_INFINITY

  constructor(size: number, limits: Pick<R2sParams, 'parkedPerAuthorMax' | 'fetchRetryMs'>) {
    this.#perAuthorMax = limits.parkedPerAuthorMax
    this.#retryMs = limits.fetchRetryMs
    this.#byAuthor = Array.from({ length: size }, () => [])
  }

  get size(): number {
    return this.#parked.size
  }

  /** The first of those that are asked for and have not come. */
  wanted(countMax: number): BlockRef[] {
    const refs: BlockRef[] = []
    for (const { ref } of this.#wants.values()) {
      if (refs.length === countMax) break
      if (!this.#parked.has(ref.digest)) refs.push(ref)
    }
    return refs
  }

  /** Blocks that are asked for. */
  get wantCount(): number {
    return this.#wants.size
  }

  has(digest: Uint8Array): boolean {
    return this.#parked.has(digest)
  }

  /** Somebody waits for this block. */
  isWanted(ref: BlockRef): boolean {
    return this.#wants.has(ref)
  }

  /** A parked block of that author and round, if there is one. */
  at(round: number, author: number): Block | undefined {
    return this.#byAuthor[author]!.find((parked) => parked.block.header.round === round)?.block
  }

  highestRound(author: number): number {
    let highest = 0
    for (const parked of this.#byAuthor[author]!) highest = Math.max(highest, parked.block.header.round)
    return highest
  }

  park(parked: Parked, missing: readonly BlockRef[], nowMs: number): void {
    const { author } = parked.block.header
    const own = this.#byAuthor[author]!
    own.push(parked)
    this.#parked.set(parked.block.digest, parked)
    for (const ref of missing) {
      let want = this.#wants.get(ref)
      if (!want) {
        want = { ref, waiting: new Set(), source: parked.from, attempts: 0, askAtMs: nowMs }
        this.#wants.set(ref, want)
        this.#askAtMs = Math.min(this.#askAtMs, nowMs)
      }
      want.waiting.add(parked)
    }
    const optional = own.filter((other) => !this.isWanted(refOf(other.block)))
    if (optional.length > this.#perAuthorMax) this.#evict(optional, nowMs)
    else if (own.length > 2 * this.#perAuthorMax) this.#evict(own, nowMs)
  }

  #evict(among: readonly Parked[], nowMs: number): void {
    const last = among.reduce((a, b) => (b.block.header.round > a.block.header.round ? b : a))
    this.#remove(last)
    const want = this.#wants.get(refOf(last.block))
    if (want) {
      // Not at once: there was no room for it, and what lies below must come first.
      want.askAtMs = Math.max(want.askAtMs, nowMs + this.#retryMs)
      this.#askAtMs = Math.min(this.#askAtMs, want.askAtMs)
    }
  }

  /** The block was accepted: returns those that waited for nothing else. */
  resolve(ref: BlockRef): Parked[] {
    const want = this.#wants.get(ref)
    if (!want) return []
    this.#wants.delete(ref)
    const ready: Parked[] = []
    for (const parked of want.waiting) if (--parked.missingCount === 0 && this.#take(parked)) ready.push(parked)
    return ready
  }

  /** The block is invalid: everything above it is dropped. */
  reject(ref: BlockRef): Parked[] {
    const dropped: Parked[] = []
    const pending = [ref]
    for (let next = pending.pop(); next; next = pending.pop()) {
      const want = this.#wants.get(next)
      if (!want) continue
      this.#wants.delete(next)
      for (const parked of want.waiting) {
        this.#remove(parked)
        dropped.push(parked)
        pending.push(refOf(parked.block))
      }
    }
    return dropped
  }

  /** Nothing at or below `gcRound` is waited for any longer: returns those that are ready now. */
  prune(gcRound: number): Parked[] {
    for (const own of this.#byAuthor) {
      for (const parked of own.filter(({ block }) => block.header.round <= gcRound)) this.#remove(parked)
    }
    const ready: Parked[] = []
    for (const want of [...this.#wants.values()]) if (want.ref.round <= gcRound) ready.push(...this.resolve(want.ref))
    return ready
  }

  /** Blocks whose time has come and that wait for nothing else. */
  release(nowMs: number): Parked[] {
    const ready: Parked[] = []
    for (const own of this.#byAuthor) {
      for (const parked of own) if (parked.missingCount === 0 && parked.notBeforeMs <= nowMs) ready.push(parked)
    }
    for (const parked of ready) this.#remove(parked)
    return ready
  }

  /** When to call `release` or `due` next. */
  nextMs(): number {
    let next = this.#askAtMs
    for (const own of this.#byAuthor) {
      for (const parked of own) if (parked.missingCount === 0) next = Math.min(next, parked.notBeforeMs)
    }
    return next
  }

  /**
   * What to ask for now, and whom: first the member that sent the child, then one other, then (-1) everybody,
   * each time waiting twice as long up to 32 times.
   */
  due(nowMs: number): { to: number; ref: BlockRef }[] {
    const asks: { to: number; ref: BlockRef }[] = []
    if (nowMs < this.#askAtMs) return asks
    this.#askAtMs = Number.POSITIVE_INFINITY
    for (const want of this.#wants.values()) {
      if (this.#parked.has(want.ref.digest)) continue
      if (want.askAtMs <= nowMs) {
        const other = want.ref.author === want.source ? want.source + 1 : want.ref.author
        asks.push({ to: want.attempts === 0 ? want.source : want.attempts === 1 ? other : -1, ref: want.ref })
        want.askAtMs = nowMs + this.#retryMs * 2 ** Math.min(Math.max(0, want.attempts - 1), 5)
        want.attempts++
      }
      this.#askAtMs = Math.min(this.#askAtMs, want.askAtMs)
    }
    return asks
  }

  /** Takes a block whose ancestors are complete; leaves it here while its time has not come. */
  #take(parked: Parked): boolean {
    if (parked.notBeforeMs > 0) return false // `release` looks at the clock
    this.#remove(parked)
    return true
  }

  #remove(parked: Parked): void {
    const own = this.#byAuthor[parked.block.header.author]!
    const at = own.indexOf(parked)
    if (at < 0) return
    own.splice(at, 1)
    this.#parked.delete(parked.block.digest)
    if (parked.missingCount === 0) return
    for (const ref of parked.block.header.parents) {
      const want = this.#wants.get(ref)
      if (want?.waiting.delete(parked) && want.waiting.size === 0) this.#wants.delete(ref)
    }
  }
}
