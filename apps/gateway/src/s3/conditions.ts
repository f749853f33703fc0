import type { ObjectInfo } from '../object-layer.ts'
import type { HeaderReader } from './payload.ts'
import { S3Error } from './s3-error.ts'

/** What a conditional read looks at. Times are whole seconds, as HTTP dates are. */
type Subject = Pick<ObjectInfo, 'etag' | 'modifiedMs'>

/**
 * Preconditions of GET and HEAD, in the order of RFC 9110, section 13.2.2.
 *
 * @throws S3Error PreconditionFailed, NotModified
 */
export function checkReadConditions(header: HeaderReader, info: Subject): void {
  const ifMatch = header('if-match')
  const ifUnmodifiedSince = httpDateSeconds(header('if-unmodified-since'))
  const modifiedSeconds = Math.floor(info.modifiedMs / 1000)
  if (ifMatch !== undefined) {
    if (!matchesETag(ifMatch, info.etag)) throw failed('If-Match')
  } else if (ifUnmodifiedSince !== undefined && modifiedSeconds > ifUnmodifiedSince) {
    throw failed('If-Unmodified-Since')
  }
  const ifNoneMatch = header('if-none-match')
  const ifModifiedSince = httpDateSeconds(header('if-modified-since'))
  if (
    ifNoneMatch !== undefined
      ? matchesETag(ifNoneMatch, info.etag)
      : ifModifiedSince !== undefined && modifiedSeconds <= ifModifiedSince
  ) {
    throw new S3Error(
      'NotModified',
      undefined,
      {},
      {
        ETag: `"${info.etag}"`,
        'Last-Modified': new Date(info.modifiedMs).toUTCString(),
      },
    )
  }
}

/**
 * Conditions of a copy on its source: all failures are 412.
 *
 * @returns undefined if there are none
 */
export function copySourceCondition(header: HeaderReader): ((source: Subject) => void) | undefined {
  const ifMatch = header('x-amz-copy-source-if-match')
  const ifNoneMatch = header('x-amz-copy-source-if-none-match')
  const modifiedSince = httpDateSeconds(header('x-amz-copy-source-if-modified-since'))
  const unmodifiedSince = httpDateSeconds(header('x-amz-copy-source-if-unmodified-since'))
  if (
    ifMatch === undefined &&
    ifNoneMatch === undefined &&
    modifiedSince === undefined &&
    unmodifiedSince === undefined
  ) {
    return undefined
  }
  return ({ etag, modifiedMs }) => {
    const seconds = Math.floor(modifiedMs / 1000)
    if (ifMatch !== undefined) {
      if (!matchesETag(ifMatch, etag)) throw failed('x-amz-copy-source-If-Match')
    } else if (unmodifiedSince !== undefined && seconds > unmodifiedSince) {
      throw failed('x-amz-copy-source-If-Unmodified-Since')
    }
    if (ifNoneMatch !== undefined) {
      if (matchesETag(ifNoneMatch, etag)) throw failed('x-amz-copy-source-If-None-Match')
    } else if (modifiedSince !== undefined && seconds <= modifiedSince) {
      throw failed('x-amz-copy-source-If-Modified-Since')
    }
  }
}

/**
 * Conditions of PutObject, CopyObject and CompleteMultipartUpload. The object layer checks them in the moment of writing.
 *
 * @throws S3Error NotImplemented for any other than S3's two forms
 */
export function readWriteConditions(header: HeaderReader): { ifNoneMatch?: '*'; ifMatch?: string } {
  const ifNoneMatch = header('if-none-match')
  const ifMatch = header('if-match')
  if (header('if-modified-since') !== undefined || header('if-unmodified-since') !== undefined) {
    throw new S3Error('NotImplemented', 'Writes can be conditional on If-Match or If-None-Match only.')
  }
  if (ifNoneMatch !== undefined) {
    if (ifNoneMatch.trim() !== '*' || ifMatch !== undefined) {
      throw new S3Error('NotImplemented', 'A write takes either If-None-Match: * or If-Match with an ETag.', {
        Header: 'If-None-Match',
      })
    }
    return { ifNoneMatch: '*' }
  }
  if (ifMatch === undefined) return {}
  if (ifMatch.trim() === '*' || ifMatch.includes(',')) {
    throw new S3Error('NotImplemented', 'If-Match takes one ETag in a write.', { Header: 'If-Match' })
  }
  return { ifMatch: unquoteETag(ifMatch) }
}

/** `"abc"`, `W/"abc"` or `abc`, as clients write it. */
export function unquoteETag(text: string): string {
  return text
    .trim()
    .replace(/^W\//, '')
    .replace(/^"(.*)"$/s, '$1')
}

/** Whether a list of ETags, or `*`, names this one. */
export function matchesETag(list: string, etag: string): boolean {
  return list.trim() === '*' || list.split(',').some((each) => unquoteETag(each) === etag)
}

/** Seconds since 1970; undefined for dates that are not one: those are to be ignored (RFC 9110, section 13.1.3). */
function httpDateSeconds(text: string | undefined): number | undefined {
  const ms = text === undefined ? Number.NaN : Date.parse(text)
  return Number.isNaN(ms) ? undefined : Math.floor(ms / 1000)
}

function failed(condition: string): S3Error {
  return new S3Error('PreconditionFailed', undefined, { Condition: condition })
}
