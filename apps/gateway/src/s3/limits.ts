/** What one front end takes at most. Sizes in bytes. */
export interface S3Limits {
  readonly connections: number
  /** Requests under way; more are answered SlowDown. */
  readonly requestsInFlight: number
  readonly headerBytes: number
  readonly putBytes: number
  readonly partBytes: number
  /** Smallest part of a multipart upload but the last. */
  readonly partBytesMin: number
  readonly objectBytes: number
  /** Body of DeleteObjects, CompleteMultipartUpload and the like, which is held in memory. */
  readonly xmlBytes: number
  /** `x-amz-meta-` names and values together. */
  readonly userMetadataBytes: number
  /** Time for the whole header of a request. */
  readonly headersTimeoutMs: number
  /** How long a client may neither send what we wait for nor take what we send. */
  readonly idleMs: number
  /** A client that sends slower than this over a whole `idleMs` of waiting is cut off. */
  readonly bytesPerSecondMin: number
  readonly keepAliveMs: number
  /** After an early error so much of the body is read and thrown away, so that the client gets to see the answer. */
  readonly drainBytes: number
  readonly drainMs: number
  /** Time that requests under way get to finish when the server closes. */
  readonly closeGraceMs: number
}

/** Sizes of objects, parts and metadata are S3's. */
export const S3_LIMITS: S3Limits = {
  connections: 4096,
  requestsInFlight: 1024,
  headerBytes: 16 * 2 ** 10,
  putBytes: 5 * 2 ** 30,
  partBytes: 5 * 2 ** 30,
  partBytesMin: 5 * 2 ** 20,
  objectBytes: 5 * 2 ** 40,
  // 10,000 parts with a SHA-256 each are 2 MiB; 1,000 keys of 1,024 bytes, every second one escaped, 3 MiB.
  xmlBytes: 4 * 2 ** 20,
  userMetadataBytes: 2 * 2 ** 10,
  headersTimeoutMs: 20_000,
  idleMs: 30_000,
  bytesPerSecondMin: 512,
  keepAliveMs: 65_000,
  drainBytes: 2 ** 20,
  drainMs: 2_000,
  closeGraceMs: 30_000,
}
