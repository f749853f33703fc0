import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ByteReader, ByteWriter, DecodeError, equalBytes } from '@cumulus/bytes'
import { type FrameMessage, type FrameReply, RemoteError } from '@cumulus/network'
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from '@cumulus/r2s'
import { writeFileAtomic } from '@cumulus/service'
import type { ExecutedChain } from './certifier.ts'
import { ConsensusError } from './consensus-error.ts'
import { consensusRootOf } from './order-mark.ts'

/** The last chain block of a round, with where the order stands after it. */
export interface OrderPoint {
  readonly height: bigint
  readonly round: number
  readonly index: number
  readonly checkpoint: Checkpoint
}

/** What others are given: a checkpoint has 38 KB with four members, 104 KB with eleven. */
interface KeptPoint {
  readonly height: bigint
  readonly round: number
  readonly index: number
  readonly body: Uint8Array
}

/** Twice what members remember of the order, and more while it is idle. Who asks has just caught up to the certified tip. */
const POINTS_MAX = 32
/** In the rounds that members remember. A point of a few rounds ago does as well as the last one: the rest is fetched. */
const POINTS_PER_WINDOW = 16
/** Files that are about to be written; the next one waits. */
const WRITES_MAX = 8

/**
 * Where others may join the order: now and then a round that became chain blocks, the same at all members. Kept over a restart,
 * one file each, `order/points/<height>`: round u32 | index u32 | checkpoint. A committee whose members have all been restarted since the
 * last block can make no new one without the member that has to join; so it must remember.
 *
 * Written in the background. A crash may take the newest; who asks then finds the one before.
 */
export class OrderPoints {
  readonly #folder: string
  readonly #era: number
  readonly #points: KeptPoint[]
  readonly #stepRounds: number
  #writing: Promise<void> = Promise.resolve()
  #writesCount = 0
  #failure: unknown

  private constructor(folder: string, { era, gcDepthRounds }: PointRules, points: KeptPoint[]) {
    this.#folder = folder
    this.#era = era
    this.#stepRounds = Math.max(1, Math.floor(gcDepthRounds / POINTS_PER_WINDOW))
    this.#points = points
  }

  /** Takes what the chain vouches for, and removes the rest: the chain may have been put back, or a disk may have erred. */
  static async open(dir: string, rules: PointRules, chain: ExecutedChain): Promise<OrderPoints> {
    const folder = join(dir, 'order', 'points')
    const points: KeptPoint[] = []
    for (const name of await namesIn(folder)) {
      const path = join(folder, name)
      const point = /^\d{1,15}$/.test(name) ? kept(BigInt(name), new Uint8Array(await readFile(path))) : undefined
      if (point && isOfChain(point, rules.era, chain)) points.push(point)
      else await rm(path, { recursive: true })
    }
    points.sort((a, b) => Number(a.height - b.height))
    return new OrderPoints(folder, rules, points)
  }

  /** The last one, if there is any. */
  get last(): OrderPoint | undefined {
    const point = this.#points.at(-1)
    return point && { ...point, checkpoint: decodeCheckpoint(point.body) }
  }

  /**
   * A round has become chain blocks.
   *
   * @param previousRound that of the chain block before; undefined if that is not known
   * @throws ConsensusError LOG_FAILED if earlier ones could not be written
   */
  async add(point: OrderPoint, previousRound: number | undefined): Promise<void> {
    const { height, round, index, checkpoint } = point
    const step = (at: number) => Math.floor(at / this.#stepRounds)
    // Of the first chain block nothing came before.
    const isFirst = previousRound === undefined || previousRound === 0
    if (!isFirst && step(previousRound) === step(round)) return
    const last = this.#points.at(-1)
    if (last && last.height >= height) return // it is told a second time
    if (this.#writesCount >= WRITES_MAX) await this.#writing
    if (this.#failure !== undefined) {
      throw new ConsensusError('LOG_FAILED', 'places in the order cannot be kept', {}, { cause: this.#failure })
    }
    const one = { height, round, index, body: encodeCheckpoint(checkpoint) }
    this.#points.push(one)
    const gone = this.#points.splice(0, Math.max(0, this.#points.length - POINTS_MAX))
    this.#writesCount++
    this.#writing = this.#writing
      .then(async () => {
        await writeFileAtomic(join(this.#folder, String(height)), encode(one))
        for (const old of gone) await rm(join(this.#folder, String(old.height)), { force: true })
        this.#writesCount--
      })
      .catch((error) => {
        this.#failure ??= error
      })
  }

  /** Answers `FrameOp.getOrderPoint`: the last point at or below `frame.offset`, a height that must be certified. */
  answer(frame: FrameMessage, certifiedHeight: bigint): FrameReply {
    const height = BigInt(frame.offset)
    if (certifiedHeight < height) throw new RemoteError('NOT_YET', `block ${height} has no certificate here yet`)
    const point = this.#points.findLast((one) => one.height <= height)
    if (!point) throw new RemoteError('NO_SUCH_POINT', 'too long ago')
    return { offset: Number(point.height), meta: placeOf(point), body: point.body }
  }

  /** Resolves when all is written, or nothing more can be. */
  async flush(): Promise<void> {
    await this.#writing
  }
}

interface PointRules {
  readonly era: number
  readonly gcDepthRounds: number
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

/** Whether it is the place that the header of its chain block binds. */
export function isBound({ height, round, index, checkpoint }: OrderPoint, era: number, chain: ExecutedChain): boolean {
  const header = height <= chain.head.number ? chain.header(height) : undefined
  return header !== undefined && equalBytes(header.consensusRoot, consensusRootOf({ era, round, index }, checkpoint))
}

const PLACE_BYTES = 8

function placeOf({ round, index }: KeptPoint): Uint8Array {
  return new ByteWriter(16).u32(round).u32(index).finish()
}

function encode(point: KeptPoint): Uint8Array {
  return new ByteWriter(PLACE_BYTES + point.body.length).bytes(placeOf(point)).bytes(point.body).finish()
}

function kept(height: bigint, bytes: Uint8Array): KeptPoint | undefined {
  if (bytes.length < PLACE_BYTES) return undefined
  const reader = new ByteReader(bytes.subarray(0, PLACE_BYTES))
  return { height, round: reader.u32(), index: reader.u32(), body: bytes.slice(PLACE_BYTES) }
}

function isOfChain(point: KeptPoint, era: number, chain: ExecutedChain): boolean {
  try {
    return isBound({ ...point, checkpoint: decodeCheckpoint(point.body) }, era, chain)
  } catch (error) {
    if (error instanceof DecodeError) return false
    throw error
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
