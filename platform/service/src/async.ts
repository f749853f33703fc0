/** A promise that somebody else settles. */
export class Deferred<Value = void> {
  readonly promise: Promise<Value>
  resolve!: (value: Value | PromiseLike<Value>) => void
  reject!: (reason: unknown) => void

  constructor() {
    const { promise, resolve, reject } = Promise.withResolvers<Value>()
    this.promise = promise
    this.resolve = resolve
    this.reject = reject
  }
}

/** Waits; rejects with the signal's reason if it aborts first. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal?.addEventListener('abort', stop, { once: true })
  })
}

interface RetryInit {
  /** Tries in all, at least 1. */
  readonly attempts: number
  /** Wait before the second try; doubles each time, up to `maxMs`, with ±50 % of jitter. */
  readonly baseMs: number
  readonly maxMs: number
  readonly signal?: AbortSignal
  /** Whether another try makes sense. Default: always. */
  readonly retriable?: (error: unknown) => boolean
}

/** Calls `attempt` until it succeeds; throws its last error after the last try. */
export async function retry<Value>(attempt: (tryIndex: number) => Promise<Value>, init: RetryInit): Promise<Value> {
  for (let tryIndex = 0; ; tryIndex++) {
    init.signal?.throwIfAborted()
    try {
      return await attempt(tryIndex)
    } catch (error) {
      if (tryIndex + 1 >= init.attempts || init.signal?.aborted || init.retriable?.(error) === false) throw error
      const ms = Math.min(init.maxMs, init.baseMs * 2 ** tryIndex) * (0.5 + Math.random())
      await sleep(ms, init.signal)
    }
  }
}

/** Runs at most `count` tasks at once; the others wait in order. */
export function limitConcurrency(count: number): <Value>(task: () => Promise<Value>) => Promise<Value> {
  let running = 0
  const waiting: (() => void)[] = []
  return async (task) => {
    if (running >= count) await new Promise<void>((resolve) => waiting.push(resolve))
    else running++
    try {
      return await task()
    } finally {
      // The place goes straight to the next in line, so that a newcomer cannot slip in between.
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }
}
