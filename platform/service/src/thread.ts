import type { Worker } from 'node:worker_threads'

/** Longer than anything that a thread does in one go. */
const END_MS_MAX = 20_000

/**
 * Asks a thread to end and waits until it has: one that is torn down in the middle of native code may take the process along.
 * The thread closes its port when it gets `message`. Only one that does not listen for so long is torn down.
 */
export async function endThread(worker: Worker, message: unknown): Promise<void> {
  if (worker.threadId === -1) return // it has ended already
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
  worker.postMessage(message)
  const force = setTimeout(() => void worker.terminate(), END_MS_MAX)
  await ended
  clearTimeout(force)
}
