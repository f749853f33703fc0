import { ByteReader, ByteWriter, DecodeError, equalBytes } from '@cumulus/bytes'
import { sha256 } from '@cumulus/hash'
import {
  type BlockContent,
  decodeForeignContent,
  decodeForeignHeader,
  type HashedHeader,
  RangeProofError,
  SNAPSHOT_CHUNK_BYTES_MAX,
} from '@cumulus/ledger'

/**
 * What a snapshot consists of. Every node makes the same one of the same block. Little-endian:
 *
 *     offset  bytes  field
 *     0       1      version, 1
 *     1       3      0
 *     4       4      headers
 *     8       4      chunks
 *     12             body of the block: length 4, RLP list of raw transactions
 *                    receipts of the block: length 4, RLP as the ledger stores them
 *                    headers, each: length 4, RLP; up to 257, ascending, the last is the block's own: contracts may ask
 *                    for the hashes of 256 blocks before theirs
 *                    chunks, each: length 4, SHA-256 32
 */
export interface SnapshotManifest {
  /** SHA-256 of the manifest: names the snapshot. */
  readonly id: Uint8Array
  readonly headers: readonly HashedHeader[]
  /** Of the block, checked against its header. */
  readonly content: BlockContent
  readonly chunks: readonly { readonly bytes: number; readonly hash: Uint8Array }[]
}

const VERSION = 1
export const SNAPSHOT_HEADERS_MAX = 257
/** 200 GiB of state. */
const CHUNKS_MAX = 200_000
export const MANIFEST_BYTES_MAX = 8 * 2 ** 20 - 1_024

export function encodeManifest(
  headers: readonly Uint8Array[],
  content: { readonly body: Uint8Array; readonly receipts: Uint8Array },
  chunks: readonly { readonly bytes: number; readonly hash: Uint8Array }[],
): Uint8Array {
  const writer = new ByteWriter(64 + headers.length * 700 + chunks.length * 36)
  writer.u8(VERSION).bytes(new Uint8Array(3)).u32(headers.length).u32(chunks.length)
  writer.prefixed(content.body).prefixed(content.receipts)
  for (const header of headers) writer.prefixed(header)
  for (const { bytes, hash } of chunks) writer.u32(bytes).bytes(hash)
  return writer.finish()
}

/**
 * A manifest whose headers follow each other. Whether its block is the network's, others must say.
 *
 * @throws DecodeError
 */
export function decodeManifest(manifest: Uint8Array): SnapshotManifest {
  const reader = new ByteReader(manifest)
  if (reader.u8() !== VERSION) throw new DecodeError('a manifest of another version', 0)
  reader.bytes(3)
  const [headerCount, chunkCount] = [reader.u32(), reader.u32()]
  if (headerCount < 1 || headerCount > SNAPSHOT_HEADERS_MAX) throw new DecodeError(`${headerCount} headers`, 4)
  if (chunkCount < 1 || chunkCount > CHUNKS_MAX) throw new DecodeError(`${chunkCount} chunks`, 8)
  const [body, receipts] = [reader.prefixed(MANIFEST_BYTES_MAX), reader.prefixed(MANIFEST_BYTES_MAX)]
  const headers: HashedHeader[] = []
  for (let i = 0; i < headerCount; i++) {
    const header = decodeForeignHeader(reader.prefixed(4_096).slice())
    const before = headers.at(-1)
    if (before && (header.number !== before.number + 1n || !equalBytes(header.parentHash, before.hash))) {
      throw new DecodeError(`header ${header.number} does not follow`, reader.offset)
    }
    headers.push(header)
  }
  const expected = headers.at(-1)!.number + 1n < BigInt(SNAPSHOT_HEADERS_MAX) ? headers.at(-1)!.number + 1n : undefined
  if (BigInt(headers.length) !== (expected ?? BigInt(SNAPSHOT_HEADERS_MAX))) {
    throw new DecodeError(`${headers.length} headers are not all that contracts may ask for`, 4)
  }
  const chunks = Array.from({ length: chunkCount }, () => {
    const chunk = { bytes: reader.u32(), hash: reader.bytes(32).slice() }
    if (chunk.bytes > SNAPSHOT_CHUNK_BYTES_MAX) throw new DecodeError(`a chunk of ${chunk.bytes} bytes`, reader.offset)
    return chunk
  })
  reader.end()
  return { id: sha256(manifest), headers, content: contentOf(headers.at(-1)!, body, receipts), chunks }
}

function contentOf(header: HashedHeader, body: Uint8Array, receipts: Uint8Array): BlockContent {
  try {
    return decodeForeignContent(header, body.slice(), receipts.slice())
  } catch (error) {
    if (error instanceof RangeProofError) throw new DecodeError(error.message, 12)
    throw error
  }
}

/** Manifests one behind the other, each with its length: the answer to `get-snapshot`. */
export function encodeManifests(manifests: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter(manifests.reduce((sum, { length }) => sum + 4 + length, 0))
  for (const manifest of manifests) writer.prefixed(manifest)
  return writer.finish()
}

/** @throws DecodeError */
export function decodeManifests(body: Uint8Array, countMax: number): SnapshotManifest[] {
  const reader = new ByteReader(body)
  const manifests: SnapshotManifest[] = []
  while (reader.remaining > 0) {
    if (manifests.length === countMax) throw new DecodeError('too many snapshots', reader.offset)
    manifests.push(decodeManifest(reader.prefixed(MANIFEST_BYTES_MAX)))
  }
  return manifests
}
