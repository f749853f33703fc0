interface Entry<Item> {
  readonly atMs: number
  readonly order: number
  readonly item: Item
}

/** Things to come, by time and, at equal times, in the order they were planned: a binary heap. */
export class EventQueue<Item> {
  readonly #heap: Entry<Item>[] = []
  #order = 0

  push(atMs: number, item: Item): void {
    const heap = this.#heap
    const entry = { atMs, order: this.#order++, item }
    let i = heap.length
    heap.push(entry)
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!before(entry, heap[parent]!)) break
      heap[i] = heap[parent]!
      i = parent
    }
    heap[i] = entry
  }

  pop(): Entry<Item> | null {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (!first || !last) return null
    if (heap.length === 0) return first
    let i = 0
    for (let child = 1; child < heap.length; child = 2 * i + 1) {
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
      if (!before(heap[child]!, last)) break
      heap[i] = heap[child]!
      i = child
    }
    heap[i] = last
    return first
  }
}

function before<Item>(a: Entry<Item>, b: Entry<Item>): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
}
