import type { ChainView } from '../chain-view.ts'
import { hex, logQuery, text } from '../decode.ts'
import { formatHeader, formatTransaction } from '../format.ts'
import { LogFeed } from '../log-feed.ts'
import { type MethodTable, method } from '../method.ts'
import { RpcError } from '../rpc-error.ts'
import type { MethodContext } from './context.ts'

/** `eth_subscribe` over WebSockets. */
export function subscriptionMethods({ chain, limits, log }: MethodContext): MethodTable {
  const query = logQuery(limits)
  const feed = new LogFeed(chain, log)
  return {
    ...method('eth_subscribe', [text, (value) => value], ([kind, options], { socket }) => {
      if (!socket) {
        throw new RpcError('REFUSED', 'notifications not supported: subscribe over a WebSocket, or install a filter')
      }
      switch (kind) {
        case 'newHeads':
          return socket.subscribe(kind, (send) => chain.onBlock((block) => send(formatHeader(block))))
        case 'logs': {
          const wanted = query(options, 'parameter 2')
          return socket.subscribe(kind, (send) => feed.add(wanted, send))
        }
        case 'newPendingTransactions': {
          const full = options === true
          return socket.subscribe(kind, (send) =>
            chain.onPending((of) => {
              const transaction = full ? chain.pending.transaction(of) : undefined
              send(transaction ? formatTransaction(transaction) : of)
            }),
          )
        }
        case 'syncing':
          return socket.subscribe(kind, (send) => followSync(chain, send))
        default:
          throw new RpcError(
            'INVALID_PARAMS',
            `no subscription "${kind}": newHeads, logs, newPendingTransactions, syncing`,
          )
      }
    }),
    ...method('eth_unsubscribe', [hex], ([id], { socket }) => {
      if (!socket) throw new RpcError('REFUSED', 'notifications not supported over HTTP')
      return socket.unsubscribe(id)
    }),
  }
}

/** Tells when catching up begins and ends, as of each block. */
function followSync(chain: ChainView, send: (result: unknown) => void): () => void {
  let was = chain.syncing() !== undefined
  return chain.onBlock(() => {
    const is = chain.syncing() !== undefined
    if (is !== was) send(is)
    was = is
  })
}
