import { limitConcurrency } from '@cumulus/service'
import type { RpcLimits } from './limits.ts'
import { overLimit } from './rpc-error.ts'

/** Simulated calls are the only requests that burn CPU for long: few run at once, and the queue before them is short. */
export class CallQueue {
  readonly #limits: RpcLimits
  readonly #run: ReturnType<typeof limitConcurrency>
  #inside = 0

  constructor(limits: RpcLimits) {
    this.#limits = limits
    this.#run = limitConcurrency(limits.callsAtOnceMax)
  }

  async run<Value>(call: () => Promise<Value>): Promise<Value> {
    const { callsAtOnceMax, callsWaitingMax } = this.#limits
    if (this.#inside >= callsAtOnceMax + callsWaitingMax) {
      throw overLimit('calls', `${this.#inside} calls are being executed or wait; try again`)
    }
    this.#inside++
    try {
      return await this.#run(call)
    } finally {
      this.#inside--
    }
  }
}
