import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import type { Hash, PendingContent, PendingView, ViewTransaction } from '@cumulus/rpc'
import type { Address } from '@cumulus/types'
import type { Mempool } from './mempool.ts'
import { viewTransaction } from './view-transaction.ts'

/** The mempool as the RPC server sees it. */
export class MempoolView implements PendingView {
  readonly #mempool: Mempool

  constructor(mempool: Mempool) {
    this.#mempool = mempool
  }

  get bytes(): number {
    return this.#mempool.bytes
  }

  counts(): { pending: number; queued: number } {
    return this.#mempool.counts()
  }

  senders(): readonly Address[] {
    return this.#mempool.senders()
  }

  content(from: Address): PendingContent {
    const { pending, queued } = this.#mempool.content(from)
    return { pending: pending.map(viewTransaction), queued: queued.map(viewTransaction) }
  }

  transaction(hash: Hash): ViewTransaction | undefined {
    const transaction = this.#mempool.get(hexToBytes(hash))
    return transaction && viewTransaction(transaction)
  }

  nextNonce(address: Address): bigint {
    return this.#mempool.nextNonce(address)
  }

  async submit(raw: Uint8Array): Promise<Hash> {
    const { hash } = await this.#mempool.submit(raw)
    return bytesToHex(hash)
  }
}
