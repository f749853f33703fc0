import { parentPort } from 'node:worker_threads'
import { recoverSecp256k1, secp256k1Address } from '@cumulus/signature'
import { JOB_BYTES, RESULT_BYTES } from './recovery-messages.ts'

parentPort!.on('message', (jobs: Uint8Array | 'stop') => {
  if (jobs === 'stop') return parentPort!.close()
  const count = jobs.length / JOB_BYTES
  const results = new Uint8Array(count * RESULT_BYTES)
  for (let i = 0; i < count; i++) {
    const job = jobs.subarray(i * JOB_BYTES, (i + 1) * JOB_BYTES)
    const key = recoverSecp256k1(job.subarray(32, 96), job[96]!, job.subarray(0, 32))
    if (!key) continue
    results[i * RESULT_BYTES] = 1
    results.set(secp256k1Address(key), i * RESULT_BYTES + 1)
  }
  parentPort!.postMessage(results, [results.buffer])
})
