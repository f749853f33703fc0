import assert from 'node:assert/strict'
import { bytesToHex } from '@cumulus/bytes'
import type { JournaledState } from '../state/journaled-state.ts'
import type { StateReader } from '../state/state-reader.ts'
import { type CallFrame, CallTracer, type CallTracerOptions } from '../vm/call-tracer.ts'
import type { Sandbox, Sandboxes } from '../vm/sandboxes.ts'
import { StructLogger, type StructLoggerOptions, type StructLogTrace } from '../vm/struct-logger.ts'
import { TraceBudget } from '../vm/trace-budget.ts'
import type { VmTracer } from '../vm/vm.ts'
import { type ChainRules, vmBlock } from './block-context.ts'
import type { StoredBlock } from './block-store.ts'
import { applyOverrides, type CallOptions, type CallRequest, overriddenBlock, tryMessage } from './calls.ts'
import { executeTransaction } from './execute-transaction.ts'
import type { HashedHeader } from './header.ts'
import { beginBlock } from './system-contracts.ts'

/** What is wanted of a trace; the struct logger if absent, as in geth. */
export type TracerChoice =
  | ({ readonly tracer: 'callTracer' } & CallTracerOptions)
  | ({ readonly tracer?: undefined } & StructLoggerOptions)

/** As JSON shows it, in geth's form. */
export type Trace = CallFrame | StructLogTrace

export interface TransactionTrace {
  readonly txHash: `0x${string}`
  readonly result: Trace
}

interface Recorder {
  readonly tracer: VmTracer
  result(run: { gasLimit: bigint; gasUsed: bigint; ok: boolean; output: Uint8Array; firstLogIndex: number }): Trace
}

/** Runs transactions and calls again, watched. One at a time; blocks go first. */
export class Tracing {
  readonly #rules: ChainRules
  readonly #sandboxes: Sandboxes
  readonly #traceBytes: number

  /** @param traceBytes that the result of one request may hold, about */
  constructor(rules: ChainRules, sandboxes: Sandboxes, traceBytes: number) {
    this.#rules = rules
    this.#sandboxes = sandboxes
    this.#traceBytes = traceBytes
  }

  /**
   * Executes the block again up to its transaction `last`, and traces those from `first` on.
   *
   * @param parent state before the block
   */
  traceBlock(
    { header, transactions, receipts }: StoredBlock,
    parent: StateReader,
    range: { first: number; last: number },
    choice: TracerChoice,
    signal: AbortSignal | undefined,
  ): Promise<TransactionTrace[]> {
    return this.#sandboxes.run(
      parent,
      async ({ state, vm, pause }) => {
        const block = vmBlock(this.#rules, header)
        const budget = new TraceBudget(this.#traceBytes)
        const traces: TransactionTrace[] = []
        beginBlock(state, header)
        let gasUsed = 0n
        let firstLogIndex = 0
        for (const [index, tx] of transactions.slice(0, range.last + 1).entries()) {
          // Transfers run no code that would pause by itself, and a block holds thousands.
          const wait = pause()
          if (wait) await wait
          const recorder = index < range.first ? undefined : record(choice, budget, state)
          vm.tracer = recorder?.tracer
          const { receipt, result } = await executeTransaction(tx, state, vm, block, gasUsed)
          vm.tracer = undefined
          // Whoever executes differently the second time has no business to explain the first.
          assert(receipt.gasUsed === receipts[index]!.gasUsed, `transaction ${index} of block ${header.number} differs`)
          gasUsed = receipt.cumulativeGasUsed
          if (recorder) {
            const { gasLimit } = tx
            const { ok, output } = result
            const whole = { gasLimit, gasUsed: receipt.gasUsed, ok, output, firstLogIndex }
            traces.push({ txHash: bytesToHex(tx.hash), result: recorder.result(whole) })
          }
          firstLogIndex += receipt.logs.length
        }
        return traces
      },
      { signal },
    )
  }

  traceCall(
    request: CallRequest,
    header: HashedHeader,
    reader: StateReader,
    choice: TracerChoice,
    options: CallOptions,
  ): Promise<Trace> {
    return this.#sandboxes.run(
      reader,
      async (sandbox: Sandbox) => {
        const block = overriddenBlock(this.#rules, header, options.blockOverrides)
        applyOverrides(sandbox.state, options.overrides)
        const recorder = record(choice, new TraceBudget(this.#traceBytes), sandbox.state)
        const gasLimit = request.gas ?? block.gasLimit
        sandbox.vm.tracer = recorder.tracer
        const { ok, output, gasUsed } = await tryMessage(sandbox, request, gasLimit, block)
        sandbox.vm.tracer = undefined
        return recorder.result({ gasLimit, gasUsed, ok, output, firstLogIndex: 0 })
      },
      options,
    )
  }
}

function record(choice: TracerChoice, budget: TraceBudget, state: JournaledState): Recorder {
  if (choice.tracer === 'callTracer') {
    const tracer = new CallTracer(choice, budget)
    return { tracer, result: (run) => tracer.result(run) }
  }
  const tracer = new StructLogger(choice, budget, (address, slot) => state.getStorage(address, slot))
  return { tracer, result: (run) => tracer.result(run.gasUsed, run) }
}
