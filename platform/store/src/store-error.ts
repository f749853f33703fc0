/** See the table of codes in this package's README. */
export type StoreErrorCode =
  | 'DISK_FULL'
  | 'NO_SPACE'
  | 'IO_FAILED'
  | 'COMMIT_FAILED'
  | 'DATABASE_FULL'
  | 'DATABASE_BUSY'
  | 'CLOSED'
  | 'NOT_FOUND'
  | 'FRAGMENT_EXISTS'
  | 'FRAGMENT_CORRUPT'
  | 'OUT_OF_RANGE'
  | 'INDEX_CORRUPT'
  | 'WRONG_GEOMETRY'
  | 'LOG_GAP'
  | 'LOG_CONFLICT'
  | 'LOG_SPACE_FULL'
  | 'LOG_NOT_FOUND'
  | 'OVERLOADED'

/** The disk failed us, or there is no room. `code` is stable, `details` are the numbers that matter. */
export class StoreError extends Error {
  readonly code: StoreErrorCode
  readonly details: Readonly<Record<string, unknown>>
  constructor(
    code: StoreErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = 'StoreError'
    this.code = code
    this.details = details
  }
}

/** A system call that failed, as a `StoreError`: no space is `DISK_FULL`, anything else `IO_FAILED`. */
export function ioError(action: string, path: string, cause: unknown): StoreError {
  if (cause instanceof StoreError) return cause
  const { code } = cause as NodeJS.ErrnoException
  const full = code === 'ENOSPC' || code === 'EDQUOT'
  return new StoreError(full ? 'DISK_FULL' : 'IO_FAILED', `cannot ${action} ${path}`, { path, errno: code }, { cause })
}
