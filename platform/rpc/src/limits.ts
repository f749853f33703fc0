/** What one server grants to strangers. Each excess has its own error and counts in `cumulus_rpc_limit_hits_total{limit}`. */
export interface RpcLimits {
  /** Body of one HTTP request or one WebSocket message. Room for a batch of large contracts. */
  readonly bodyBytesMax: number
  /** Bodies and WebSocket messages that have not been answered yet, together. */
  readonly bodyBytesTotalMax: number
  /** Requests in one batch. */
  readonly batchLengthMax: number
  /** Answers of one batch, together. A request whose answer would pass it gets an error instead. */
  readonly batchResponseBytesMax: number
  /** A batch may take this long; what is left of it then gets errors. */
  readonly batchMsMax: number
  /** One answer. */
  readonly responseBytesMax: number
  /** Answers that their askers have not read yet, together. */
  readonly responseBytesTotalMax: number
  /** An answer must have been read within this time, or the connection is closed. */
  readonly responseTimeoutMs: number
  /** Nesting of brackets in a body. `JSON.parse` recurses: deep bodies end in a stack overflow. */
  readonly jsonDepthMax: number
  /** `data` of a call or an estimate, and of a transaction. geth allows 128 KiB per transaction. */
  readonly calldataBytesMax: number
  /** Blocks that one log search may span. */
  readonly logRangeBlocksMax: number
  /** Logs in one answer. */
  readonly logCountMax: number
  /** Data of the logs in one answer: 8 MiB become 16 MiB of hex. */
  readonly logBytesMax: number
  /** Log searches and fee histories that run at once, taking turns; that wait; and how long one may take. */
  readonly searchesAtOnceMax: number
  readonly searchesWaitingMax: number
  readonly searchMsMax: number
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
  /** A call or an estimate may take this long, its waits for chain blocks included. geth: 5 s. */
  readonly callMsMax: number
  /** Traces run one at a time; each may take this long, and so many may wait. */
  readonly traceMsMax: number
  readonly tracesWaitingMax: number
  /** Calls, estimates and proofs that run at once, taking turns; others wait. */
  readonly callsAtOnceMax: number
  /** Calls and estimates that wait for their turn; past it they are refused. */
  readonly callsWaitingMax: number
  /** Accounts, and slots in all, of one set of state overrides. */
  readonly overrideAccountsMax: number
  readonly overrideSlotsMax: number
  /** Longest wait of `eth_sendRawTransactionSync`, and how many may wait. */
  readonly syncSendMsMax: number
  readonly syncSendsMax: number
  /** Keys of one `eth_getProof`. */
  readonly proofKeysMax: number
  readonly feeHistoryBlocksMax: number
  /** Miners that are asked for their challenges in one `cumulus_getChallenges`. */
  readonly challengedMinersMax: number
  readonly connectionsMax: number
  readonly socketsMax: number
  readonly subscriptionsPerSocketMax: number
  /** Of all sockets: each is told of each head or waiting transaction in the same turn. */
  readonly subscriptionsMax: number
  /** Requests of one socket that are being answered; others wait, and nothing more is read from it. */
  readonly socketRequestsMax: number
  /** Bytes that wait in a socket because its peer does not read, or before the id of a subscription is told; then it is closed. */
  readonly socketBufferedBytesMax: number
  /** Between pings; a socket that answers none until the next is closed. */
  readonly pingIntervalMs: number
  /** A request must have arrived within this time. */
  readonly requestTimeoutMs: number
}

export const defaultLimits: RpcLimits = {
  bodyBytesMax: 2 * 2 ** 20,
  bodyBytesTotalMax: 128 * 2 ** 20,
  batchLengthMax: 100,
  batchResponseBytesMax: 25 * 2 ** 20,
  batchMsMax: 30_000,
  responseBytesMax: 64 * 2 ** 20,
  responseBytesTotalMax: 256 * 2 ** 20,
  responseTimeoutMs: 60_000,
  jsonDepthMax: 32,
  calldataBytesMax: 128 * 2 ** 10,
  logRangeBlocksMax: 10_000,
  logCountMax: 10_000,
  logBytesMax: 8 * 2 ** 20,
  searchesAtOnceMax: 4,
  searchesWaitingMax: 256,
  searchMsMax: 10_000,
  filterAlternativesMax: 1_000,
  filtersMax: 1_000,
  filterBacklogMax: 10_000,
  filterIdleMs: 5 * 60_000,
  callGasMax: 30_000_000n,
  callMsMax: 5_000,
  traceMsMax: 15_000,
  tracesWaitingMax: 16,
  callsAtOnceMax: 4,
  callsWaitingMax: 256,
  overrideAccountsMax: 256,
  overrideSlotsMax: 4_096,
  syncSendMsMax: 20_000,
  syncSendsMax: 256,
  proofKeysMax: 256,
  feeHistoryBlocksMax: 1_024,
  challengedMinersMax: 1_000,
  connectionsMax: 1_024,
  socketsMax: 256,
  subscriptionsPerSocketMax: 32,
  subscriptionsMax: 1_024,
  socketRequestsMax: 64,
  socketBufferedBytesMax: 4 * 2 ** 20,
  pingIntervalMs: 30_000,
  requestTimeoutMs: 30_000,
}
