import { setImmediate } from 'node:timers/promises'

/** Work for this long, then let others on: a request waits no longer than that for its turn. */
const TURN_MS = 15

/**
 * What work asks in its middle: undefined to go on, or what to wait for first. Sockets are read and timers run in
 * between, so that an expensive call or a full chain block holds nobody up. Shared by several pieces of work, it bounds
 * what they do together; whoever waited then asks again, for another may have used up the turn.
 */
export function createBreather(nowMs: () => number = () => performance.now()): () => Promise<void> | undefined {
  let sinceMs = nowMs()
  let breath: Promise<void> | undefined
  return () => {
    if (breath) return breath
    if (nowMs() - sinceMs < TURN_MS) return undefined
    breath = setImmediate().then(() => {
      sinceMs = nowMs()
      breath = undefined
    })
    return breath
  }
}
