import { ByteReader, ByteWriter, DecodeError } from '@cumulus/bytes'
import { type FrameMessage, type FrameReply, RemoteError } from '@cumulus/network'
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from '@cumulus/r2s'
import type { OrderPlace } from './order-mark.ts'

/** The last chain block of a round, with where the order stands after it. */
export interface OrderPoint {
  readonly height: bigint
  readonly round: number
  readonly index: number
  readonly checkpoint: Checkpoint
}

/** Some seconds of blocks: who asks has just caught up to the last of them. */
const POINTS_MAX = 256

/** Where others may join the order: the last rounds that became chain blocks. */
export class OrderPoints {
  readonly #points: OrderPoint[] = []

  add(height: bigint, { round, index }: OrderPlace, checkpoint: Checkpoint): void {
    this.#points.push({ height, round, index, checkpoint })
    if (this.#points.length > POINTS_MAX) this.#points.shift()
  }

  /**
   * Answers `FrameOp.getOrderPoint`: the last point at or below `frame.offset`, a height that must be certified. So all who
   * answer the same question give the same answer.
   */
  answer(frame: FrameMessage, certifiedHeight: bigint): FrameReply {
    const height = BigInt(frame.offset)
    if (certifiedHeight < height) throw new RemoteError('NOT_YET', `block ${height} has no certificate here yet`)
    const point = this.#points.findLast((one) => one.height <= height)
    if (!point) throw new RemoteError('NO_SUCH_POINT', 'too long ago')
    const meta = new ByteWriter(16).u32(point.round).u32(point.index).finish()
    return { offset: Number(point.height), meta, body: encodeCheckpoint(point.checkpoint) }
  }
}

/** @throws DecodeError */
export function decodeOrderPoint({ offset, meta, body }: FrameMessage): OrderPoint {
  const reader = new ByteReader(meta)
  const round = reader.u32()
  const index = reader.u32()
  reader.end()
  if (!Number.isSafeInteger(offset) || offset < 0) throw new DecodeError(`height ${offset}`, 0)
  return { height: BigInt(offset), round, index, checkpoint: decodeCheckpoint(body.slice()) }
}
