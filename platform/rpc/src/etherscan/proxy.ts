/** JSON-RPC methods behind `module=proxy`, and the fields of the query that become their parameters, in order. */
const PROXY: Readonly<Record<string, (query: Readonly<Record<string, string>>) => unknown[]>> = {
  eth_blockNumber: () => [],
  eth_gasPrice: () => [],
  eth_chainId: () => [],
  eth_getBlockByNumber: ({ tag, boolean }) => [tag, boolean === 'true'],
  eth_getBlockTransactionCountByNumber: ({ tag }) => [tag],
  eth_getUncleByBlockNumberAndIndex: ({ tag, index }) => [tag, index],
  eth_getTransactionByHash: ({ txhash }) => [txhash],
  eth_getTransactionByBlockNumberAndIndex: ({ tag, index }) => [tag, index],
  eth_getTransactionReceipt: ({ txhash }) => [txhash],
  eth_getTransactionCount: ({ address, tag }) => [address, tag],
  eth_getCode: ({ address, tag }) => [address, tag],
  eth_getStorageAt: ({ address, position, tag }) => [address, position, tag],
  eth_call: ({ to, data, tag }) => [{ to, data }, tag],
  eth_estimateGas: ({ to, data, value, gas, gasPrice }) => [{ to, data, value, gas, gasPrice }],
  eth_sendRawTransaction: ({ hex }) => [hex],
}

/** Actions of `module=proxy`. */
export const proxyActions: readonly string[] = Object.keys(PROXY)

/** The request that a query stands for; undefined if its action is not among them. */
export function proxyRequest(query: Readonly<Record<string, string>>): object | undefined {
  const method = proxyActions.find((name) => name.toLowerCase() === query['action']?.toLowerCase())
  if (!method) return undefined
  return { jsonrpc: '2.0', id: 1, method, params: PROXY[method]!(query) }
}
