/** The world failed: a file, a port, a peer. `code` is stable, `details` are the numbers that matter. */
export class ServiceError extends Error {
  readonly code: string
  readonly details: Readonly<Record<string, unknown>>
  constructor(code: string, message: string, details: Readonly<Record<string, unknown>> = {}, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ServiceError'
    this.code = code
    this.details = details
  }
}
