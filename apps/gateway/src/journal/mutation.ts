import { ByteReader, ByteWriter, DecodeError } from '@cumulus/bytes'
import {
  readBucket,
  readBucketName,
  readKey,
  readObject,
  readSegment,
  readShortText,
  readStoredPart,
  readUpload,
  type StoredBucket,
  type StoredObject,
  type StoredPart,
  type StoredSegment,
  type StoredUpload,
  writeBucket,
  writeBucketName,
  writeObject,
  writeSegment,
  writeStoredPart,
  writeUpload,
} from './rows.ts'

/**
 * One change of an owner's metadata. The journal is the list of all of them in order: the index is what applying them
 * gives, and any gateway that applies them has the same index. Setting what is set and deleting what is absent is fine,
 * so compaction may say a thing again.
 */
export type Mutation =
  | { readonly kind: 'bucket-set'; readonly bucket: string; readonly value: StoredBucket }
  | { readonly kind: 'bucket-delete'; readonly bucket: string }
  | { readonly kind: 'object-set'; readonly bucket: string; readonly key: string; readonly value: StoredObject }
  | { readonly kind: 'object-delete'; readonly bucket: string; readonly key: string }
  | {
      readonly kind: 'upload-set'
      readonly bucket: string
      readonly key: string
      readonly uploadId: string
      readonly value: StoredUpload
    }
  /** Ends an upload, completed or aborted: its parts go with it. */
  | { readonly kind: 'upload-delete'; readonly bucket: string; readonly key: string; readonly uploadId: string }
  | {
      readonly kind: 'part-set'
      readonly bucket: string
      readonly key: string
      readonly uploadId: string
      readonly partNumber: number
      readonly value: StoredPart
    }
  | { readonly kind: 'segment-set'; readonly value: StoredSegment }
  /** Transactions that are in the log but were refused to their clients: never applied. */
  | { readonly kind: 'void'; readonly sequences: readonly number[] }

const VERSION = 1
const kinds = [
  'bucket-set',
  'bucket-delete',
  'object-set',
  'object-delete',
  'upload-set',
  'upload-delete',
  'part-set',
  'segment-set',
  'void',
] as const satisfies Mutation['kind'][]

/** All mutations of one transaction: version u8, count u32, then kind u8 and fields each. */
export function encodeMutations(mutations: readonly Mutation[]): Uint8Array {
  const writer = new ByteWriter(512)
  writer.u8(VERSION).u32(mutations.length)
  for (const mutation of mutations) {
    writer.u8(kinds.indexOf(mutation.kind))
    switch (mutation.kind) {
      case 'bucket-set':
        writeBucketName(writer, mutation.bucket)
        writeBucket(writer, mutation.value)
        break
      case 'bucket-delete':
        writeBucketName(writer, mutation.bucket)
        break
      case 'object-set':
        writeBucketName(writer, mutation.bucket)
        writer.text(mutation.key)
        writeObject(writer, mutation.value)
        break
      case 'object-delete':
        writeBucketName(writer, mutation.bucket)
        writer.text(mutation.key)
        break
      case 'upload-set':
        writeBucketName(writer, mutation.bucket)
        writer.text(mutation.key).text(mutation.uploadId)
        writeUpload(writer, mutation.value)
        break
      case 'upload-delete':
        writeBucketName(writer, mutation.bucket)
        writer.text(mutation.key).text(mutation.uploadId)
        break
      case 'part-set':
        writeBucketName(writer, mutation.bucket)
        writer.text(mutation.key).text(mutation.uploadId).u16(mutation.partNumber)
        writeStoredPart(writer, mutation.value)
        break
      case 'segment-set':
        writeSegment(writer, mutation.value)
        break
      case 'void':
        writer.u32(mutation.sequences.length)
        for (const sequence of mutation.sequences) writer.u53(sequence)
    }
  }
  return writer.finish()
}

/** @throws DecodeError if the bytes are not exactly one transaction */
export function decodeMutations(bytes: Uint8Array): Mutation[] {
  const reader = new ByteReader(bytes)
  const version = reader.u8()
  if (version !== VERSION) throw new DecodeError(`journal record of unknown version ${version}`, 0)
  const count = reader.u32()
  // Every mutation takes at least two bytes: a count beyond that is a lie told before anything is allocated.
  if (count > reader.remaining) throw new DecodeError(`${count} mutations in ${reader.remaining} bytes`, 1)
  const mutations: Mutation[] = []
  for (let i = 0; i < count; i++) mutations.push(readMutation(reader))
  reader.end()
  return mutations
}

function readMutation(reader: ByteReader): Mutation {
  const code = reader.u8()
  const kind = kinds[code]
  switch (kind) {
    case 'bucket-set':
      return { kind, bucket: readBucketName(reader), value: readBucket(reader) }
    case 'bucket-delete':
      return { kind, bucket: readBucketName(reader) }
    case 'object-set':
      return { kind, bucket: readBucketName(reader), key: readKey(reader), value: readObject(reader) }
    case 'object-delete':
      return { kind, bucket: readBucketName(reader), key: readKey(reader) }
    case 'upload-set':
      return {
        kind,
        bucket: readBucketName(reader),
        key: readKey(reader),
        uploadId: readShortText(reader),
        value: readUpload(reader),
      }
    case 'upload-delete':
      return { kind, bucket: readBucketName(reader), key: readKey(reader), uploadId: readShortText(reader) }
    case 'part-set':
      return {
        kind,
        bucket: readBucketName(reader),
        key: readKey(reader),
        uploadId: readShortText(reader),
        partNumber: reader.u16(),
        value: readStoredPart(reader),
      }
    case 'segment-set':
      return { kind, value: readSegment(reader) }
    case 'void': {
      const count = reader.u32()
      if (count * 8 > reader.remaining) throw new DecodeError(`${count} sequence numbers`, reader.offset - 4)
      return { kind, sequences: Array.from({ length: count }, () => reader.u53()) }
    }
    default:
      throw new DecodeError(`mutation of unknown kind ${code}`, reader.offset - 1)
  }
}
