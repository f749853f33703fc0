import { hash } from 'node:crypto'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

export interface SlowLine {
  /** Delay of each chunk, one way: `delayMs` ± `spreadMs`, order kept. */
  readonly delayMs: number
  /** Default: 0. */
  readonly spreadMs?: number
  /** A connection is cut after a time drawn up to twice this. Default: never. Only while `isDropping`. */
  readonly meanLifeMs?: number
}

interface SlowProxyInit extends SlowLine {
  readonly targetPort: number
  readonly seed: string
}

/** A long or a bad line: passes bytes on late, each direction for itself, and may drop connections. */
export class SlowProxy {
  /** Connections cut on purpose. */
  droppedCount = 0
  /** Until it is set, lines are slow and nothing worse. */
  isDropping = false
  #passedCount = 0
  #lateMs = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(server: Server) {
    this.#server = server
  }

  static async start({ targetPort, seed, delayMs, spreadMs = 0, meanLifeMs }: SlowProxyInit): Promise<SlowProxy> {
    const random = seededRandom(seed)
    const server = createServer((inbound) => {
      const outbound = connect(targetPort, '127.0.0.1')
      const cut = () => {
        for (const socket of [inbound, outbound]) socket.destroy()
      }
      let timer: NodeJS.Timeout | undefined
      const live = (lifeMs: number) => {
        timer = setTimeout(() => {
          if (!proxy.isDropping) return live(lifeMs)
          proxy.droppedCount++
          cut()
        }, lifeMs)
      }
      if (meanLifeMs !== undefined) live(2 * meanLifeMs * random())
      for (const [from, to] of [
        [inbound, outbound],
        [outbound, inbound],
      ] as const) {
        proxy.#sockets.add(from)
        // Waiting for acknowledgements of its own, it would be slower than it says.
        from.setNoDelay(true)
        const delay = () => delayMs + spreadMs * (2 * random() - 1)
        passLate(from, to, delay, (lateMs) => {
          proxy.#passedCount++
          proxy.#lateMs += lateMs
        })
        from.on('error', cut)
        from.on('close', () => {
          clearTimeout(timer)
          proxy.#sockets.delete(from)
          to.destroy()
        })
      }
    })
    const proxy = new SlowProxy(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** What a chunk was held beyond its delay, in the mean: this process had no core, or something else to do. */
  get meanLateMs(): number {
    return this.#passedCount === 0 ? 0 : this.#lateMs / this.#passedCount
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

/**
 * Bytes of one connection do not overtake each other: each chunk has its time, and one timer at a time waits for the first.
 * A timer for each would not do, since two that end in the same millisecond fire in either order.
 */
function passLate(from: Socket, to: Socket, delayMs: () => number, passed: (lateMs: number) => void): void {
  const waiting: { readonly chunk: Buffer; readonly atMs: number }[] = []
  const pass = () => {
    while (waiting.length > 0 && waiting[0]!.atMs <= performance.now()) {
      const { chunk, atMs } = waiting.shift()!
      if (!to.destroyed) to.write(chunk)
      passed(performance.now() - atMs)
    }
    if (waiting.length > 0) setTimeout(pass, Math.max(1, waiting[0]!.atMs - performance.now()))
  }
  let lastMs = 0
  from.on('data', (chunk: Buffer) => {
    lastMs = Math.max(lastMs, performance.now() + delayMs())
    waiting.push({ chunk, atMs: lastMs })
    if (waiting.length === 1) setTimeout(pass, Math.max(1, lastMs - performance.now()))
  })
}

/** Numbers in [0, 1), the same for the same seed: counted SHA-256. */
function seededRandom(seed: string): () => number {
  let count = 0
  return () => hash('sha256', `${seed} ${count++}`, 'buffer').readUInt32LE() / 2 ** 32
}
