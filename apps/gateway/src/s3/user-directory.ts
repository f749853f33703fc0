import type { OwnerId } from '../object-layer.ts'

/** Somebody who may sign requests. */
export interface S3User {
  readonly accessKey: string
  readonly secretKey: string
  /** Whose buckets these are. Several keys may belong to one owner. */
  readonly owner: OwnerId
  readonly displayName: string
  /** Canonical user id shown as Owner/ID. */
  readonly id: string
  /** Why this gateway cannot serve the user at present: every signed request is answered 503 with these words. */
  readonly unavailable?: string
}

/** Who may sign. Asked once per request, so it answers from memory. */
export interface UserDirectory {
  byAccessKey(accessKey: string): S3User | undefined
}
