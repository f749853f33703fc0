import { type ExecutedBlock, type Ledger, LedgerHalt } from '@cumulus/ledger'
import { tallyAudits } from '@cumulus/ledger/modules'
import { Counter, Gauge, Histogram, type Logger, type Metrics } from '@cumulus/service'
import { ExecutionError } from './execution-error.ts'
import { writeHaltDump } from './halt-dump.ts'
import type { LedgerView } from './ledger-view.ts'
import type { Mempool } from './mempool.ts'
import type { DecidedBatch, Orderer } from './orderer.ts'

interface BlockExecutorComponents {
  readonly ledger: Ledger
  readonly mempool: Mempool
  readonly view: LedgerView
  readonly log: Logger
  readonly metrics: Metrics
  /** Where a dump is written if execution halts; nowhere if absent. */
  readonly dumpDir?: string
}

/** Takes decided batches to the ledger, one after the other, and tells mempool and readers about each stored block. */
export class BlockExecutor {
  readonly #components: BlockExecutorComponents
  readonly #metrics: ReturnType<typeof createChainMetrics>

  constructor(components: BlockExecutorComponents) {
    this.#components = components
    this.#metrics = createChainMetrics(components.metrics, components.ledger)
  }

  /**
   * Works until `signal` aborts; a block begun is finished.
   *
   * @throws ExecutionError HALTED
   */
  async run(orderer: Orderer, { signal }: { signal: AbortSignal }): Promise<void> {
    for await (const batch of orderer.decided({ signal })) await this.#execute(batch)
  }

  async #execute(batch: DecidedBatch): Promise<void> {
    const { ledger, mempool, view, log } = this.#components
    const end = this.#metrics.executionSeconds.startTimer()
    let block: ExecutedBlock
    try {
      // When it resolves, the block is on disk: nobody sees a receipt that a power cut could take back.
      block = await ledger.execute(batch)
      end()
      const dropped = block.dropped.map(({ index, code }) => ({ transaction: batch.transactions[index]!, code }))
      mempool.settle({ included: block.transactions, dropped })
      for (const { code } of dropped) this.#metrics.dropped.inc({ code })
      for (const { ok } of block.receipts) this.#metrics.transactions.inc({ outcome: ok ? 'ok' : 'reverted' })
      this.#metrics.blocks.inc({ kind: batch.transactions.length > 0 ? 'content' : 'heartbeat' })
      this.#countAudits(block)
      this.#metrics.gasUsed.inc(Number(block.header.gasUsed))
      log.debug('chain block stored', {
        number: block.header.number,
        hash: block.header.hash,
        transactions: block.transactions.length,
        dropped: dropped.length,
        gasUsed: block.header.gasUsed,
      })
    } catch (cause) {
      const { dumpDir } = this.#components
      const dump = dumpDir === undefined ? undefined : await writeHaltDump(dumpDir, batch, cause).catch(String)
      const transactions = batch.transactions.length
      log.error('execution halted', { number: batch.number, transactions, dump, error: cause })
      const reason = cause instanceof LedgerHalt && cause.cause instanceof Error ? cause.cause : (cause as Error)
      throw new ExecutionError(
        'HALTED',
        `block ${batch.number} cannot be executed: ${reason.message}`,
        { number: batch.number, dump },
        { cause },
      )
    }
    // The block is stored, whatever its readers make of it: their faults are no halt.
    const { number } = block.header
    const onFailure = (error: unknown) => {
      this.#metrics.readerFailures.inc()
      log.error('a reader failed on a stored block', { number, error })
    }
    try {
      view.publish(number, onFailure)
    } catch (error) {
      onFailure(error)
    }
  }

  #countAudits({ hookLogs, receipts }: ExecutedBlock): void {
    const { quotesAccepted, quotesRefused, ...outcomes } = tallyAudits(
      [hookLogs, ...receipts.map(({ logs }) => logs)].flat(),
    )
    for (const [outcome, count] of Object.entries(outcomes)) if (count > 0) this.#metrics.proofs.inc({ outcome }, count)
    if (quotesAccepted > 0) this.#metrics.quotes.inc({ verdict: 'accepted' }, quotesAccepted)
    if (quotesRefused > 0) this.#metrics.quotes.inc({ verdict: 'refused' }, quotesRefused)
  }
}

function createChainMetrics(metrics: Metrics, ledger: Ledger) {
  const registers = [metrics]
  new Gauge({
    name: 'cumulus_chain_height',
    help: 'Number of the last stored chain block',
    registers,
    collect() {
      this.set(Number(ledger.head.number))
    },
  })
  new Gauge({
    name: 'cumulus_chain_base_fee_wei',
    help: 'Base fee of the next chain block',
    registers,
    collect() {
      this.set(Number(ledger.nextBaseFee))
    },
  })
  new Gauge({
    name: 'cumulus_chain_oldest_state_height',
    help: 'The oldest chain block whose state can still be read',
    registers,
    collect() {
      this.set(Number(ledger.oldestState))
    },
  })
  new Gauge({
    name: 'cumulus_chain_hook_slots',
    help: 'Slots that the hooks of a module read and wrote in the last chain block',
    labelNames: ['module'],
    registers,
    collect() {
      for (const [module, { loadCount, storeCount }] of ledger.modules.hookWork ?? []) {
        this.set({ module }, loadCount + storeCount)
      }
    },
  })
  new Gauge({
    name: 'cumulus_chain_history_bytes',
    help: 'Bytes of the store that are there for the state of older chain blocks',
    registers,
    collect() {
      this.set(Number(ledger.memory.historyBytes))
    },
  })
  new Gauge({
    name: 'cumulus_chain_cached_state',
    help: 'What of the state is in memory: accounts, slots, trie nodes',
    labelNames: ['kind'],
    registers,
    collect() {
      const { accounts, slots, trieNodes } = ledger.memory
      this.set({ kind: 'account' }, accounts)
      this.set({ kind: 'slot' }, slots)
      this.set({ kind: 'trie_node' }, trieNodes)
    },
  })
  new Gauge({
    name: 'cumulus_chain_cached_code_bytes',
    help: 'Bytes of contract code in memory',
    registers,
    collect() {
      this.set(ledger.memory.codeBytes)
    },
  })
  return {
    blocks: new Counter({
      name: 'cumulus_chain_blocks_total',
      help: 'Chain blocks executed and stored, with content or as a heartbeat',
      labelNames: ['kind'],
      registers,
    }),
    transactions: new Counter({
      name: 'cumulus_chain_transactions_total',
      help: 'Transactions executed, by outcome',
      labelNames: ['outcome'],
      registers,
    }),
    dropped: new Counter({
      name: 'cumulus_chain_dropped_transactions_total',
      help: 'Ordered transactions that could not be executed, by code',
      labelNames: ['code'],
      registers,
    }),
    readerFailures: new Counter({
      name: 'cumulus_chain_reader_failures_total',
      help: 'Times that a follower of stored blocks threw: a subscription, a snapshot keeper',
      registers,
    }),
    proofs: new Counter({
      name: 'cumulus_chain_proofs_total',
      help: 'Challenges of miners that came to an end, by outcome',
      labelNames: ['outcome'],
      registers,
    }),
    quotes: new Counter({
      name: 'cumulus_chain_attestation_votes_total',
      help: 'Votes of members on quotes of TEE workers, by verdict',
      labelNames: ['verdict'],
      registers,
    }),
    gasUsed: new Counter({ name: 'cumulus_chain_gas_used_total', help: 'Gas used by transactions', registers }),
    executionSeconds: new Histogram({
      name: 'cumulus_chain_block_execution_seconds',
      help: 'Time from batch to durable chain block',
      buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
      registers,
    }),
  }
}
