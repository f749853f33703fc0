import { ByteReader, ByteWriter, concatBytes, DecodeError, utf8Encode } from '@cumulus/bytes'
import { sha256 } from '@cumulus/hash'
import { type Checkpoint, encodeCheckpoint } from '@cumulus/r2s'

/** Place of a chain block in the order: the `index`-th block made of the commit of `round`. */
export interface OrderPlace {
  readonly era: number
  readonly round: number
  readonly index: number
}

/**
 * The note that the orderer leaves with each chain block (`DecidedBatch.mark`), to know after a restart what of the order
 * is in the chain already. `followed`: the block was taken from others, who alone know its place.
 *
 *     version u8 = 1 | kind u8: 1 ordered, 2 followed | era u32 | round u32 | index u32, little-endian; zeros if followed
 */
export type OrderMark = ({ readonly kind: 'ordered' } & OrderPlace) | { readonly kind: 'followed' }

const VERSION = 1

export function encodeMark(mark: OrderMark): Uint8Array {
  const { era, round, index } = mark.kind === 'ordered' ? mark : { era: 0, round: 0, index: 0 }
  const kind = mark.kind === 'ordered' ? 1 : 2
  return new ByteWriter(16).u8(VERSION).u8(kind).u32(era).u32(round).u32(index).finish()
}

/** @throws DecodeError */
export function decodeMark(bytes: Uint8Array): OrderMark {
  const reader = new ByteReader(bytes)
  const version = reader.u8()
  if (version !== VERSION) throw new DecodeError(`version ${version} of marks is unknown`, 0)
  const kind = reader.u8()
  if (kind !== 1 && kind !== 2) throw new DecodeError(`kind ${kind} of marks is unknown`, 1)
  const place = { era: reader.u32(), round: reader.u32(), index: reader.u32() }
  reader.end()
  return kind === 1 ? { kind: 'ordered', ...place } : { kind: 'followed' }
}

const DOMAIN = utf8Encode('cumulus/order/1')

/**
 * What the header of a chain block binds of the order: SHA-256(domain 15 | era u32 | round u32 | index u32 | checkpoint
 * after that round's commit). A certificate of the header so also certifies where a member may join the order.
 */
export function consensusRootOf({ era, round, index }: OrderPlace, checkpoint: Checkpoint): Uint8Array {
  const place = new ByteWriter(16).u32(era).u32(round).u32(index).finish()
  return sha256(concatBytes(DOMAIN, place, encodeCheckpoint(checkpoint)))
}
