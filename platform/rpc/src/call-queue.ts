import { limitConcurrency } from '@cumulus/service'
import { overLimit } from './rpc-error.ts'

interface CallQueueInit {
  /** As errors and metrics name it. */
  readonly limit: string
  readonly atOnceMax: number
  readonly waitingMax: number
}

/** Work that burns CPU for long: little of it runs at once, and the queue before it is short. */
export class CallQueue {
  readonly #init: CallQueueInit
  readonly #run: ReturnType<typeof limitConcurrency>
  #inside = 0

  constructor(init: CallQueueInit) {
    this.#init = init
    this.#run = limitConcurrency(init.atOnceMax)
  }

  /**
   * Calls `work` when its turn comes.
   *
   * @param signal whose asker went away is not worked for: rejects with its reason
   * @throws RpcError LIMIT_EXCEEDED at once if too many wait
   */
  async run<Value>(work: () => Promise<Value>, signal?: AbortSignal): Promise<Value> {
    const { limit, atOnceMax, waitingMax } = this.#init
    if (this.#inside >= atOnceMax + waitingMax) {
      throw overLimit(limit, `${this.#inside} ${limit} are being worked on or wait; try again`)
    }
    this.#inside++
    try {
      return await this.#run(() => {
        signal?.throwIfAborted()
        return work()
      })
    } finally {
      this.#inside--
    }
  }
}
