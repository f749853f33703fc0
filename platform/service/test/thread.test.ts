import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import { endThread } from '../src/thread.ts'

const threadOf = (code: string): Worker =>
  new Worker(`const { parentPort } = require('node:worker_threads'); ${code}`, { eval: true })

describe('a thread', () => {
  it('finishes what it has begun before it ends', async () => {
    const worker = threadOf(`
      parentPort.on('message', (message) => {
        if (message === 'stop') return parentPort.close()
        const end = Date.now() + 100
        while (Date.now() < end);
        parentPort.postMessage('done')
      })`)
    const said: unknown[] = []
    worker.on('message', (message) => said.push(message))
    worker.postMessage('work')
    await endThread(worker, 'stop')
    assert.deepEqual(said, ['done'])
  })

  it('that has ended by itself is not waited for', async () => {
    const worker = threadOf('')
    await once(worker, 'exit')
    await endThread(worker, 'stop')
  })

  it('keeps the process until it has ended, though it alone would not', async () => {
    const worker = threadOf(`parentPort.on('message', () => setTimeout(() => parentPort.close(), 50))`)
    worker.unref()
    await endThread(worker, 'stop')
    assert.equal(worker.threadId, -1)
  })
})
