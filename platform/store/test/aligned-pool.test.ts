import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AlignedPool } from '../src/index.ts'

describe('an aligned pool', () => {
  it('lends each buffer to one holder at a time, whole pages apart', () => {
    const pool = new AlignedPool({ bufferBytes: 5000, count: 3 })
    const buffers = [pool.tryTake(100)!, pool.tryTake()!, pool.tryTake(8192)!]
    assert.deepEqual(
      buffers.map((buffer) => buffer.length),
      [100, 8192, 8192],
    )
    assert.equal(pool.tryTake(), undefined)
    assert.equal(pool.tryTake(8193), undefined)
    for (const [i, buffer] of buffers.entries()) {
      assert.equal(buffer.byteOffset % 4096, 0)
      buffer.fill(i + 1)
    }
    for (const [i, buffer] of buffers.entries()) assert.ok(buffer.every((byte) => byte === i + 1))
  })

  it('passes a buffer given back, by any view of it, to who waited first', async () => {
    const pool = new AlignedPool({ bufferBytes: 4096, count: 1 })
    const first = await pool.take()
    const order: number[] = []
    const waiting = [1, 2].map(async (who) => {
      const buffer = await pool.take()
      order.push(who)
      pool.give(buffer.subarray(10, 20))
    })
    assert.deepEqual(order, [])
    pool.give(first.subarray(4000))
    await Promise.all(waiting)
    assert.deepEqual(order, [1, 2])
    assert.equal(pool.freeCount, 1)
  })

  it('stops at a buffer given back twice, and ignores those of others', () => {
    const pool = new AlignedPool({ bufferBytes: 4096, count: 2 })
    const buffer = pool.tryTake()!
    pool.give(buffer)
    assert.throws(() => pool.give(buffer), /twice/)
    pool.give(new Uint8Array(10))
    assert.equal(pool.freeCount, 2)
  })
})
