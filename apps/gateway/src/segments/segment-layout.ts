import type { StorageClass } from '@cumulus/params'
import { PIECE_BYTES } from '@cumulus/storage'

/** Bytes that AES-256-GCM adds to each chunk. */
export const TAG_BYTES = 16

/**
 * How plaintext is cut, derived from the storage class. A chunk of ciphertext is as large as a piece of a fragment, so
 * that in a segment of its own every chunk is one piece: a range is read in whole pieces and each verifies itself.
 *
 *     plaintext   65,520 B   65,520 B   …  rest          of one object or part
 *     ciphertext  65,536 B   65,536 B   …  rest + 16     chunk i: nonce = i, its tag last
 *
 * Where fragments are smaller than a piece (preset `minimal`), so are chunks.
 */
export interface SegmentLayout {
  readonly storageClass: StorageClass
  /** Ciphertext in a full chunk. */
  readonly chunkBytes: number
  /** Plaintext in a full chunk. */
  readonly chunkPlainBytes: number
  /** Ciphertext in a full segment: k fragments. */
  readonly segmentBytes: number
  /** Plaintext in a full segment. */
  readonly segmentPlainBytes: number
  /** Bodies and tails of bodies up to so many bytes of plaintext go through the pack log. A quarter of a segment. */
  readonly logPlainBytesMax: number
}

export function segmentLayout(storageClass: StorageClass): SegmentLayout {
  const chunkBytes = Math.min(PIECE_BYTES, storageClass.fragmentBytes)
  const segmentBytes = storageClass.dataCount * storageClass.fragmentBytes
  if (segmentBytes % chunkBytes !== 0) throw new RangeError('a segment holds whole chunks')
  const chunkPlainBytes = chunkBytes - TAG_BYTES
  return {
    storageClass,
    chunkBytes,
    chunkPlainBytes,
    segmentBytes,
    segmentPlainBytes: (segmentBytes / chunkBytes) * chunkPlainBytes,
    logPlainBytesMax: Math.floor(segmentBytes / 4 / chunkBytes) * chunkPlainBytes,
  }
}

/** Ciphertext of `plainBytes` of plaintext. Nothing encrypts to nothing. */
export function cipherLength(layout: SegmentLayout, plainBytes: number): number {
  return plainBytes + Math.ceil(plainBytes / layout.chunkPlainBytes) * TAG_BYTES
}
