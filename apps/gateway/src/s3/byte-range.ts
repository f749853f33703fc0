import type { ByteRange } from '../object-layer.ts'
import { S3Error } from './s3-error.ts'

/**
 * The range a Range header asks for. Anything but one range of bytes is ignored, as RFC 9110 allows and S3 does.
 *
 * @returns undefined for the whole object
 * @throws S3Error InvalidRange if no byte of the object is in it
 */
export function parseRange(header: string | undefined, size: number): ByteRange | undefined {
  const match = header === undefined ? null : /^bytes=(\d*)-(\d*)$/.exec(header.replaceAll(' ', ''))
  if (match === null || (match[1] === '' && match[2] === '')) return undefined
  const [, first, last] = match as unknown as [string, string, string]
  if (first === '') {
    const length = Math.min(Number(last), size)
    if (length === 0) throw unsatisfiable(header!, size)
    return { start: size - length, end: size }
  }
  const start = Number(first)
  if (last !== '' && Number(last) < start) return undefined
  if (start >= size) throw unsatisfiable(header!, size)
  return { start, end: last === '' ? size : Math.min(Number(last) + 1, size) }
}

/** `x-amz-copy-source-range`: exactly `bytes=first-last`, both within the source. @throws S3Error InvalidArgument */
export function parseCopyRange(header: string | undefined): ByteRange | undefined {
  if (header === undefined) return undefined
  const match = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(header)
  if (match === null || Number(match[2]) < Number(match[1])) {
    throw new S3Error(
      'InvalidArgument',
      'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy',
      { ArgumentName: 'x-amz-copy-source-range', ArgumentValue: header },
    )
  }
  return { start: Number(match[1]), end: Number(match[2]) + 1 }
}

function unsatisfiable(header: string, size: number): S3Error {
  return new S3Error(
    'InvalidRange',
    undefined,
    { RangeRequested: header, ActualObjectSize: size },
    { 'Content-Range': `bytes */${size}` },
  )
}
