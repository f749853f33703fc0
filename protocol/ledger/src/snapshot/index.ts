export {
  decodeChunk,
  encodeChunk,
  SNAPSHOT_CHUNK_BYTES_MAX,
  type SnapshotChunk,
  type SnapshotCursor,
  type SnapshotEntry,
  type SnapshotSlot,
  verifyChunk,
} from './chunk.ts'
export { type BlockContent, decodeForeignContent } from './content.ts'
export { SnapshotImport, type SnapshotProgress, snapshotBase, snapshotProgress } from './import.ts'
export { type SnapshotSource, type SnapshotWriteInit, writeSnapshot } from './write.ts'
