import { createBreather } from '@cumulus/service'
import { overLimit } from './rpc-error.ts'

interface TurnsInit {
  /** As errors and metrics name it. */
  readonly limit: string
  /** What does not end within this time is broken off. */
  readonly msMax: number
  /** What to ask for instead, for the error. */
  readonly advice: string
  /** Whoever goes away is not worked for. */
  readonly signal?: AbortSignal
  readonly nowMs?: () => number
}

/** The pauses and the end of one answer that takes many small steps, so that no request holds up blocks or other askers. */
export class Turns {
  readonly #init: TurnsInit
  readonly #nowMs: () => number
  readonly #breathe: () => Promise<void> | undefined
  readonly #endsAtMs: number

  constructor(init: TurnsInit) {
    this.#init = init
    this.#nowMs = init.nowMs ?? (() => performance.now())
    this.#breathe = createBreather(this.#nowMs)
    this.#endsAtMs = this.#nowMs() + init.msMax
  }

  /**
   * To be asked between two steps: undefined to go on, else what to wait for.
   *
   * @throws (in what is waited for) RpcError LIMIT_EXCEEDED when time is up; the signal's reason
   */
  next(): Promise<void> | undefined {
    const breath = this.#breathe()
    return breath && this.#goOn(breath)
  }

  async #goOn(breath: Promise<void>): Promise<void> {
    await breath
    const { limit, msMax, advice, signal } = this.#init
    signal?.throwIfAborted()
    if (this.#nowMs() >= this.#endsAtMs) throw overLimit(limit, `broken off after ${msMax} ms; ${advice}`)
  }
}
