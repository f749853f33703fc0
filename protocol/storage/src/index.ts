export { drawMembers, type MinerCandidate } from './draw-members.ts'
export {
  fragmentIdOf,
  fragmentIdOfPieces,
  PIECE_BYTES,
  pieceCount,
  pieceHashes,
  verifyPieces,
} from './fragment-id.ts'
export { deletionMessage, type Receipt, receiptMessage, signReceipt, verifyReceipt } from './receipt.ts'
export {
  decodeDescriptor,
  encodeDescriptor,
  fragmentLength,
  type SegmentDescriptor,
  segmentRoot,
} from './segment-descriptor.ts'
