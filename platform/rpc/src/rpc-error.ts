/** Numbers of JSON-RPC 2.0 (section 5.1), EIP-1474 and geth, as Ethereum clients know them. */
export const errorNumbers = {
  PARSE_ERROR: -32700,
  INVALID_REQUEST: -32600,
  METHOD_NOT_FOUND: -32601,
  INVALID_PARAMS: -32602,
  INTERNAL: -32603,
  /** Anything a node refuses for its own reasons; transactions among them. */
  REFUSED: -32000,
  NOT_FOUND: -32001,
  /** EIP-7966 leaves the number to the node; geth's is 4. */
  TIMEOUT: 4,
  LIMIT_EXCEEDED: -32005,
  /** geth's number for a call that reverted; `data` is what it returned. */
  REVERTED: 3,
} as const

export type RpcErrorName = keyof typeof errorNumbers

/** A request that gets an error for an answer. `limit` names the limit that was passed, for the metrics. */
export class RpcError extends Error {
  /** Stable name; the number on the wire is `errorNumbers[code]`. */
  readonly code: RpcErrorName
  readonly data: unknown
  readonly limit: string | undefined

  constructor(code: RpcErrorName, message: string, init: { data?: unknown; limit?: string } & ErrorOptions = {}) {
    super(message, init)
    this.name = 'RpcError'
    this.code = code
    this.data = init.data
    this.limit = init.limit
  }

  toJSON(): { code: number; message: string; data?: unknown } {
    const error = { code: errorNumbers[this.code], message: this.message }
    return this.data === undefined ? error : { ...error, data: this.data }
  }
}

/** An error that says which limit was passed and how to stay below it. */
export function overLimit(limit: string, message: string): RpcError {
  return new RpcError('LIMIT_EXCEEDED', message, { limit })
}
