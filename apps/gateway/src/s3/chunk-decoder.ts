import { createHash, type Hash, hash } from 'node:crypto'
import { type ChunkSeed, equalSignatures, sign } from './authenticate.ts'
import { S3Error } from './s3-error.ts'

/** A chunk header is a size and a signature: `1000000;chunk-signature=` and 64 digits. A trailer line is a name and a value. */
const LINE_BYTES_MAX = 1024
/** S3 defines a handful of trailers; there is room for one of each checksum and some more. */
const TRAILER_COUNT_MAX = 16
const EMPTY_SHA256 = hash('sha256', '', 'hex')

type State = 'header' | 'data' | 'data-end' | 'trailer' | 'end'

/**
 * Takes the aws-chunked encoding off a body, piece by piece as it arrives from the socket.
 *
 *     hex-size [;chunk-signature=…] CRLF  data CRLF   …   0 [;chunk-signature=…] CRLF  trailers  CRLF
 *
 * Data comes out as slices of the pieces that went in, never copied, and before its chunk's signature could be checked:
 * whoever uses it must be able to take everything back when a later step throws.
 *
 * Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and …/sigv4-streaming-trailers.html
 *
 * @example
 * decoder.push(piece)
 * for (let data = decoder.read(); data !== undefined; data = decoder.read()) use(data)
 * … when the body ends: decoder.finish()
 */
export class ChunkDecoder {
  /** Trailing headers, names in lower case, once finished. Only announced ones, without the signature. */
  readonly trailers = new Map<string, string>()

  readonly #decodedBytes: number
  readonly #seed: ChunkSeed | undefined
  readonly #announced: ReadonlySet<string> | undefined
  #state: State = 'header'
  #input: Buffer = Buffer.alloc(0)
  #position = 0
  /** Start of a line whose end has not arrived. */
  #line = ''
  /** Bytes of data still to come in this chunk, and in all. */
  #chunkLeft = 0
  #dataLeft: number
  /** The last signature that held, which the next one covers; and the one this chunk claims. */
  #signature: string
  #claimed = ''
  #hash: Hash | undefined
  #trailerText = ''
  #trailerSigned = false
  #slack = 0

  /**
   * @param decodedBytes `x-amz-decoded-content-length`: there are exactly so many bytes of data
   * @param seed for signed chunks
   * @param announced names in `x-amz-trailer`, if trailers may follow
   */
  constructor(decodedBytes: number, seed: ChunkSeed | undefined, announced: ReadonlySet<string> | undefined) {
    this.#decodedBytes = decodedBytes
    this.#dataLeft = decodedBytes
    this.#seed = seed
    this.#signature = seed?.signature ?? ''
    this.#announced = announced
  }

  /** Takes the next piece of the body. The one before must have been read to its end. */
  push(piece: Buffer): void {
    this.#input = piece
    this.#position = 0
  }

  /** Next bytes of data in this piece; undefined when another piece is needed. */
  read(): Buffer | undefined {
    const input = this.#input
    while (this.#position < input.length) {
      if (this.#state === 'data') {
        const end = Math.min(input.length, this.#position + this.#chunkLeft)
        const data = input.subarray(this.#position, end)
        this.#position = end
        this.#chunkLeft -= data.length
        this.#dataLeft -= data.length
        if (this.#chunkLeft === 0) this.#state = 'data-end'
        this.#hash?.update(data)
        return data
      }
      if (this.#state === 'end') {
        this.#skipSlack(input[this.#position]!)
        this.#position++
        continue
      }
      const line = this.#takeLine()
      if (line === undefined) return undefined
      if (this.#state === 'header') this.#onHeader(line)
      else if (this.#state === 'data-end') this.#onDataEnd(line)
      else this.#onTrailer(line)
    }
    return undefined
  }

  /** The body has ended. @throws S3Error IncompleteBody if the encoding has not */
  finish(): void {
    if (this.#state !== 'end') {
      throw new S3Error('IncompleteBody', 'The aws-chunked body ended before its last chunk.')
    }
    for (const name of this.#announced ?? []) {
      if (!this.trailers.has(name)) {
        throw new S3Error('MalformedTrailerError', `The trailer ${name} was announced but did not come.`)
      }
    }
  }

  /** A line without its end; undefined if it goes on in the next piece. */
  #takeLine(): string | undefined {
    const end = this.#input.indexOf(10, this.#position)
    const stop = end < 0 ? this.#input.length : end
    if (this.#line.length + stop - this.#position > LINE_BYTES_MAX) throw malformed('a line is too long')
    this.#line += this.#input.toString('latin1', this.#position, stop)
    this.#position = stop + 1
    if (end < 0) return undefined
    const line = this.#line
    this.#line = ''
    return line
  }

  #onHeader(line: string): void {
    const match = (
      this.#seed === undefined ? /^([0-9a-fA-F]{1,12})\r$/ : /^([0-9a-fA-F]{1,12});chunk-signature=([0-9a-f]{64})\r$/
    ).exec(line)
    if (match === null) throw malformed(`a chunk header is not a size${this.#seed ? ' and a signature' : ''}`)
    const size = Number.parseInt(match[1]!, 16)
    if (size > this.#dataLeft) {
      throw new S3Error(
        'IncompleteBody',
        `The aws-chunked body holds more than the ${this.#decodedBytes} bytes of x-amz-decoded-content-length.`,
      )
    }
    this.#claimed = match[2] ?? ''
    if (size > 0) {
      this.#chunkLeft = size
      this.#state = 'data'
      if (this.#seed !== undefined) this.#hash = createHash('sha256')
      return
    }
    if (this.#dataLeft > 0) {
      throw new S3Error(
        'IncompleteBody',
        `The aws-chunked body ended ${this.#dataLeft} bytes before x-amz-decoded-content-length.`,
      )
    }
    this.#checkChunk(EMPTY_SHA256)
    this.#state = 'trailer'
  }

  #onDataEnd(line: string): void {
    if (line !== '\r') throw malformed('a chunk is longer than its size')
    if (this.#hash !== undefined) this.#checkChunk(this.#hash.digest('hex'))
    this.#state = 'header'
  }

  #onTrailer(text: string): void {
    const line = text.endsWith('\r') ? text.slice(0, -1) : text
    if (line === '') {
      // minio-go ends each trailer with an empty line, so under signatures only the signature ends them.
      if (this.#seed !== undefined && this.#announced !== undefined && !this.#trailerSigned) {
        if (++this.#slack > 2)
          throw new S3Error('MalformedTrailerError', 'The trailers have no x-amz-trailer-signature.')
        return
      }
      this.#slack = 0
      this.#state = 'end'
      return
    }
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).trim().toLowerCase()
    const value = line.slice(colon + 1).trim()
    if (colon < 1) throw new S3Error('MalformedTrailerError')
    if (name === 'x-amz-trailer-signature' && this.#seed !== undefined && !this.#trailerSigned) {
      this.#checkTrailers(value)
      this.#trailerSigned = true
      return
    }
    if (this.#trailerSigned || this.#announced?.has(name) !== true || this.trailers.has(name)) {
      throw new S3Error('MalformedTrailerError', `The trailer ${name} was not announced in x-amz-trailer.`)
    }
    if (this.trailers.size >= TRAILER_COUNT_MAX)
      throw new S3Error('MalformedTrailerError', 'There are too many trailers.')
    this.trailers.set(name, value)
    this.#trailerText += `${name}:${value}\n`
  }

  /** Some clients close with an empty line too many. */
  #skipSlack(byte: number): void {
    if ((byte !== 13 && byte !== 10) || ++this.#slack > 4) throw malformed('there are bytes after the last chunk')
  }

  #checkChunk(sha256: string): void {
    const seed = this.#seed
    if (seed === undefined) return
    const text = `AWS4-HMAC-SHA256-PAYLOAD\n${seed.timestamp}\n${seed.scope}\n${this.#signature}\n${EMPTY_SHA256}\n${sha256}`
    this.#check(sign(seed.key, text), this.#claimed, 'chunk')
  }

  #checkTrailers(claimed: string): void {
    const seed = this.#seed!
    const sha256 = hash('sha256', Buffer.from(this.#trailerText, 'latin1'), 'hex')
    const text = `AWS4-HMAC-SHA256-TRAILER\n${seed.timestamp}\n${seed.scope}\n${this.#signature}\n${sha256}`
    this.#check(sign(seed.key, text), claimed, 'trailer')
  }

  #check(expected: string, claimed: string, what: string): void {
    if (!equalSignatures(expected, claimed)) {
      throw new S3Error('SignatureDoesNotMatch', `The signature of a ${what} of the body does not match.`)
    }
    this.#signature = expected
    this.#hash = undefined
  }
}

function malformed(why: string): S3Error {
  return new S3Error('InvalidRequest', `The aws-chunked encoding of the body is malformed: ${why}.`)
}
