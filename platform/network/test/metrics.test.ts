import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Registry } from 'prom-client'
import { FRAME_HEADER_BYTES, FrameOp, RemoteError } from '../src/index.ts'
import { pairOf, pattern } from './support.ts'

describe('the metrics of a process', () => {
  it('count sessions, requests, bytes by op, and errors by code; codes of strangers count as other', async () => {
    const metrics = new Registry()
    const handlers = {
      [FrameOp.put]: () => ({}),
      [FrameOp.delete]: () => {
        throw new RemoteError('SOMETHING_ELSE', '')
      },
    }
    await using pair = await pairOf({ handlers, metrics })
    await pair.dialled.request(FrameOp.put, { meta: pattern(10), body: pattern(1000) })
    await assert.rejects(pair.dialled.request(FrameOp.delete, {}))
    const text = await metrics.metrics()
    assert.match(text, /^cumulus_network_sessions 1$/m)
    assert.match(text, new RegExp(`^cumulus_network_received_bytes_total{op="put"} ${FRAME_HEADER_BYTES + 1010}$`, 'm'))
    assert.match(text, new RegExp(`^cumulus_network_sent_bytes_total{op="put"} ${FRAME_HEADER_BYTES}$`, 'm'))
    assert.match(text, /^cumulus_network_received_requests_total{op="put"} 1$/m)
    assert.match(text, /^cumulus_network_errors_total{code="other"} 1$/m)
    assert.doesNotMatch(text, /SOMETHING_ELSE/)
  })
})
