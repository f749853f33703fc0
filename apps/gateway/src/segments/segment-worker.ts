import { parentPort, workerData } from 'node:worker_threads'
import { utf8Encode } from '@cumulus/bytes'
import { FrameOp, listen, PeerIdentity } from '@cumulus/network'
import { PeerTable } from './seat-sessions.ts'
import { SegmentEngine } from './segment-engine.ts'
import { toPlainError, type WorkerEvent, type WorkerInit, type WorkerRequest } from './worker-protocol.ts'

/** Entry of a worker thread: one segment engine on its own port and sessions. */
const init = workerData as WorkerInit
const port = parentPort!
const stop = new AbortController()

const post = (event: WorkerEvent, transfer: ArrayBuffer[] = []) => port.postMessage(event, transfer)
const peers = new PeerTable(() => post({ kind: 'peers', peers: peers.peers }))
const hello = utf8Encode(JSON.stringify({ role: 'gateway', chainId: init.chainId, version: 1 }))
const identity = await PeerIdentity.loadOrCreate(init.folder)
const listenAt = (wanted: number) =>
  listen(
    {
      identity,
      handlers: { [FrameOp.hello]: () => ({ meta: hello }) },
      host: init.host,
      port: wanted,
      onSession: (session) => peers.add(session),
    },
    { signal: stop.signal },
  )
// The hello of the main port names the workers' ports, so where the wanted one is taken any other will do.
const listener = await listenAt(init.port).catch((error: unknown) => {
  if (init.port === 0 || (error as { code?: string }).code !== 'LISTEN') throw error
  return listenAt(0)
})
const engine = new SegmentEngine({
  storageClass: init.storageClass,
  chainId: init.chainId,
  placeCount: init.placeCount,
  sessions: peers,
})

port.on('message', (request: WorkerRequest) => {
  if (request.op === 'stop') {
    stop.abort()
    void listener.close().then(() => port.close())
    return
  }
  answer(request).catch((error: unknown) => post({ kind: 'failed', id: request.id, error: toPlainError(error) }))
})
post({ kind: 'ready', port: listener.port })

async function answer(request: Exclude<WorkerRequest, { op: 'stop' }>): Promise<void> {
  const { id } = request
  switch (request.op) {
    case 'write': {
      const buffers = request.job.pieces.map(({ buffer }) => buffer)
      const { aftermath, ...value } = await engine.write(request.job, () =>
        post({ kind: 'consumed', id, buffers }, [...new Set(buffers)]),
      )
      post({ kind: 'answer', id, value })
      post({ kind: 'aftermath', id, value: await aftermath })
      return
    }
    case 'read': {
      const value = await engine.read(request.job)
      return post({ kind: 'answer', id, value }, [value.bytes.buffer])
    }
    case 'repair':
      return post({ kind: 'answer', id, value: await engine.repair(request.job) })
    case 'receipts':
      return post({ kind: 'answer', id, value: await engine.receipts(request.job) })
  }
}
