/**
 * A measurement that cannot be trusted or made. Codes:
 *
 *     USAGE            the command line
 *     NOT_HERE         this machine lacks what the measurement needs
 *     NETWORK_FAILED   the local network did not start, or a process of it ended on its own
 *     REFUSED          a server answered with an error; `details` has status and body
 *     BROKEN_ANSWER    a server broke off or did not speak HTTP as we understand it
 *     WRONG_BYTES      what came back differs from what was stored: the numbers are worthless
 *     SCRIPT_FAILED    a package's own benchmark ended with an error
 *     OUT_OF_TIME      the time limit was reached before every case had run once
 */
export type BenchErrorCode =
  | 'USAGE'
  | 'NOT_HERE'
  | 'NETWORK_FAILED'
  | 'REFUSED'
  | 'BROKEN_ANSWER'
  | 'WRONG_BYTES'
  | 'SCRIPT_FAILED'
  | 'OUT_OF_TIME'

export class BenchError extends Error {
  readonly code: BenchErrorCode
  readonly details: Readonly<Record<string, unknown>>

  constructor(
    code: BenchErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = 'BenchError'
    this.code = code
    this.details = details
  }
}
