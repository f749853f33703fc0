import type { StorageClass } from '@cumulus/params'
import { ChunkError } from './chunk-cipher.ts'
import {
  type ReadJob,
  type ReadResult,
  type RepairJob,
  type RepairResult,
  type SeatFailure,
  type SeatReceipt,
  SegmentError,
  type SegmentRef,
  type WriteAftermath,
  type WriteJob,
  type WriteResult,
} from './jobs.ts'

/** What a worker is started with. */
export interface WorkerInit {
  readonly storageClass: StorageClass
  readonly chainId: number
  readonly placeCount: number
  /** Folder of the peer key: the same identity as the main thread's. */
  readonly folder: string
  readonly host: string
  readonly port: number
}

export type WorkerRequest =
  | { readonly id: number; readonly op: 'write'; readonly job: WriteJob }
  | { readonly id: number; readonly op: 'read'; readonly job: ReadJob }
  | { readonly id: number; readonly op: 'repair'; readonly job: RepairJob }
  | { readonly id: number; readonly op: 'receipts'; readonly job: SegmentRef }
  | { readonly id: 0; readonly op: 'stop' }

export type WorkerEvent =
  | { readonly kind: 'ready'; readonly port: number }
  | { readonly kind: 'peers'; readonly peers: readonly string[] }
  /** Buffers come back as soon as their bytes are encoded. */
  | { readonly kind: 'consumed'; readonly id: number; readonly buffers: readonly ArrayBuffer[] }
  | {
      readonly kind: 'answer'
      readonly id: number
      readonly value: WriteResult | ReadResult | RepairResult | SeatReceipt[]
    }
  | { readonly kind: 'aftermath'; readonly id: number; readonly value: WriteAftermath }
  | { readonly kind: 'failed'; readonly id: number; readonly error: PlainError }

export interface PlainError {
  readonly name: string
  readonly message: string
  readonly code?: string
  readonly failures?: readonly SeatFailure[]
  readonly chunk?: number
}

export function toPlainError(error: unknown): PlainError {
  const { name, message, code } = error as Error & { code?: string }
  if (error instanceof SegmentError) return { name, message, code, failures: error.failures }
  if (error instanceof ChunkError) return { name, message, code, chunk: error.chunk }
  return { name, message, code }
}

export function fromPlainError(plain: PlainError): Error {
  if (plain.code === 'NO_QUORUM' || plain.code === 'UNREADABLE') {
    return new SegmentError(plain.code, plain.message, plain.failures ?? [])
  }
  if (plain.chunk !== undefined) return new ChunkError(plain.chunk)
  return Object.assign(new Error(plain.message), { name: plain.name, code: plain.code })
}
