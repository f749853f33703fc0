import assert from 'node:assert/strict'

const FREE = 0
const BUSY = 1
const USED = 2

/**
 * Who has which cell, in memory; rebuilt from the index at start. A cell is *free*, *busy* (being written, or given up
 * but not yet safe to overwrite) or *used* (named by the index). Only a free cell can be taken, and only its taker
 * frees it. Free cells that were written once come first: overwriting them in place needs no new blocks.
 */
export class CellMap {
  readonly count: number
  readonly #state: Uint8Array
  readonly #written: Uint8Array
  readonly #freeWritten: number[] = []
  readonly #freeBlank: number[] = []
  #used = 0
  #busy = 0
  #writtenCount = 0

  constructor(count: number, isUsed: (cell: number) => boolean, isWritten: (cell: number) => boolean) {
    this.count = count
    this.#state = new Uint8Array(count)
    this.#written = new Uint8Array(count)
    for (let cell = count - 1; cell >= 0; cell--) {
      const used = isUsed(cell)
      if (used || isWritten(cell)) this.markWritten(cell)
      if (used) {
        this.#state[cell] = USED
        this.#used++
      } else {
        this.#listOf(cell).push(cell)
      }
    }
  }

  get usedCount(): number {
    return this.#used
  }

  get busyCount(): number {
    return this.#busy
  }

  get freeCount(): number {
    return this.#freeWritten.length + this.#freeBlank.length
  }

  get writtenCount(): number {
    return this.#writtenCount
  }

  /** A free cell for service, now busy. */
  take(): number | undefined {
    return this.#toBusy(this.#freeWritten.pop() ?? this.#freeBlank.pop())
  }

  /** A free cell that was never written, now busy: for who fills them. */
  takeBlank(): number | undefined {
    return this.#toBusy(this.#freeBlank.shift())
  }

  /** The index names it now, durably. */
  use(cell: number): void {
    assert.equal(this.#state[cell], BUSY)
    this.#state[cell] = USED
    this.#busy--
    this.#used++
  }

  /** The index names it no more, durably; it is not free before `free`. */
  retire(cell: number): void {
    assert.equal(this.#state[cell], USED)
    this.#state[cell] = BUSY
    this.#used--
    this.#busy++
  }

  free(cell: number): void {
    assert.equal(this.#state[cell], BUSY)
    this.#state[cell] = FREE
    this.#busy--
    this.#listOf(cell).push(cell)
  }

  isUsed(cell: number): boolean {
    return this.#state[cell] === USED
  }

  isWritten(cell: number): boolean {
    return this.#written[cell] === 1
  }

  markWritten(cell: number): void {
    if (this.#written[cell]) return
    this.#written[cell] = 1
    this.#writtenCount++
  }

  /** One bit for each cell of [first, first + count): whether it was written. */
  writtenBits(first: number, count: number): Uint8Array {
    const bits = new Uint8Array(Math.ceil(count / 8))
    for (let i = 0; i < count; i++) if (this.#written[first + i]) bits[i >> 3]! |= 1 << (i & 7)
    return bits
  }

  /** Throws unless the lists and the states tell the same story. O(cells). */
  assertConsistent(): void {
    const free = [...this.#freeWritten, ...this.#freeBlank]
    assert.equal(new Set(free).size, free.length, 'a cell is free twice')
    for (const cell of free) assert.equal(this.#state[cell], FREE)
    assert.equal(free.length + this.#used + this.#busy, this.count)
    assert.equal(
      this.#state.reduce((sum, state) => sum + (state === USED ? 1 : 0), 0),
      this.#used,
    )
  }

  #toBusy(cell: number | undefined): number | undefined {
    if (cell === undefined) return undefined
    assert.equal(this.#state[cell], FREE)
    this.#state[cell] = BUSY
    this.#busy++
    return cell
  }

  #listOf(cell: number): number[] {
    return this.#written[cell] ? this.#freeWritten : this.#freeBlank
  }
}
