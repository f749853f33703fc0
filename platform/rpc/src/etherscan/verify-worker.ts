import { createRequire } from 'node:module'
import { parentPort, workerData } from 'node:worker_threads'

/**
 * Compiles one standard JSON input and ends. The compiler takes seconds and hundreds of megabytes, which go back to the
 * system with the thread; it is given no way to read files.
 */
const solc = createRequire(import.meta.url)('solc') as { compile(input: string): string }
parentPort!.postMessage(solc.compile(workerData as string))
