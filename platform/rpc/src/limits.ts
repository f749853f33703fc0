/** What one server grants to strangers. Each excess has its own error and counts in `cumulus_rpc_limit_hits_total{limit}`. */
export interface RpcLimits {
  /** Body of one HTTP request or one WebSocket message. Room for a batch of large contracts. */
  readonly bodyBytesMax: number
  /** Requests in one batch. */
  readonly batchLengthMax: number
  /** Answers of one batch, together. A request whose answer would pass it gets an error instead. */
  readonly batchResponseBytesMax: number
  /** Nesting of brackets in a body. `JSON.parse` recurses: deep bodies end in a stack overflow. */
  readonly jsonDepthMax: number
  /** `data` of a call or an estimate, and of a transaction. geth allows 128 KiB per transaction. */
  readonly calldataBytesMax: number
  /** Blocks that one log search may span. */
  readonly logRangeBlocksMax: number
  /** Logs in one answer. */
  readonly logCountMax: number
  /** Addresses, or alternatives of one topic, in one filter. */
  readonly filterAlternativesMax: number
  /** Filters installed by `eth_new…Filter`, on the whole server. */
  readonly filtersMax: number
  /** Hashes that a pending-transaction filter keeps until it is asked; then it is uninstalled. */
  readonly filterBacklogMax: number
  /** A filter that nobody asks for this long is uninstalled. geth: 5 minutes. */
  readonly filterIdleMs: number
  /** Gas that a call or estimate may ask for; more is cut, as geth does. */
  readonly callGasMax: bigint
  /** Calls and estimates that run at once; others wait. A chain block waits behind no more than these. */
  readonly callsAtOnceMax: number
  /** Calls and estimates that wait for their turn; past it they are refused. */
  readonly callsWaitingMax: number
  /** Keys of one `eth_getProof`. */
  readonly proofKeysMax: number
  readonly feeHistoryBlocksMax: number
  readonly connectionsMax: number
  readonly socketsMax: number
  readonly subscriptionsPerSocketMax: number
  /** Requests of one socket that are being answered; then reading pauses. */
  readonly socketRequestsMax: number
  /** Bytes that wait in a socket because its peer does not read; then it is closed. */
  readonly socketBufferedBytesMax: number
  /** Between pings; a socket that answers none until the next is closed. */
  readonly pingIntervalMs: number
  /** A request must have arrived within this time. */
  readonly requestTimeoutMs: number
}

export const defaultLimits: RpcLimits = {
  bodyBytesMax: 2 * 2 ** 20,
  batchLengthMax: 100,
  batchResponseBytesMax: 25 * 2 ** 20,
  jsonDepthMax: 32,
  calldataBytesMax: 128 * 2 ** 10,
  logRangeBlocksMax: 10_000,
  logCountMax: 10_000,
  filterAlternativesMax: 1_000,
  filtersMax: 1_000,
  filterBacklogMax: 10_000,
  filterIdleMs: 5 * 60_000,
  callGasMax: 30_000_000n,
  callsAtOnceMax: 1,
  callsWaitingMax: 256,
  proofKeysMax: 256,
  feeHistoryBlocksMax: 1_024,
  connectionsMax: 1_024,
  socketsMax: 256,
  subscriptionsPerSocketMax: 32,
  socketRequestsMax: 64,
  socketBufferedBytesMax: 4 * 2 ** 20,
  pingIntervalMs: 30_000,
  requestTimeoutMs: 30_000,
}
