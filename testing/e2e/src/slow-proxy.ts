import { hash } from 'node:crypto'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

interface SlowProxyInit {
  readonly targetPort: number
  /** Delay of each chunk, one way: `delayMs` ± `spreadMs`, order kept. */
  readonly delayMs: number
  readonly spreadMs: number
  /** A connection is cut after a time drawn up to twice this. */
  readonly meanLifeMs: number
  readonly seed: string
}

/** A bad line: passes bytes on late, each direction for itself, and drops connections. */
export class SlowProxy {
  /** Connections cut on purpose. */
  droppedCount = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(init: SlowProxyInit): Promise<SlowProxy> {
    const random = seededRandom(init.seed)
    const server = createServer((inbound) => {
      const outbound = connect(init.targetPort, '127.0.0.1')
      const cut = () => {
        for (const socket of [inbound, outbound]) socket.destroy()
      }
      const timer = setTimeout(
        () => {
          proxy.droppedCount++
          cut()
        },
        2 * init.meanLifeMs * random(),
      )
      for (const [from, to] of [
        [inbound, outbound],
        [outbound, inbound],
      ] as const) {
        proxy.#sockets.add(from)
        passLate(from, to, () => init.delayMs + init.spreadMs * (2 * random() - 1))
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

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

/**
 * Bytes of one connection do not overtake each other: each chunk has its time, and one timer at a time waits for the first.
 * A timer for each would not do, since two that end in the same millisecond fire in either order.
 */
function passLate(from: Socket, to: Socket, delayMs: () => number): void {
  const waiting: { readonly chunk: Buffer; readonly atMs: number }[] = []
  const pass = () => {
    while (waiting.length > 0 && waiting[0]!.atMs <= performance.now()) {
      const { chunk } = waiting.shift()!
      if (!to.destroyed) to.write(chunk)
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
