import { bytesToHex, utf8Decode } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'
import { bytesToInteger } from '../trie/rlp.ts'
import type { TraceBudget } from './trace-budget.ts'
import { gethError, hexNumber } from './trace-error.ts'
import type { FrameType, Log, VmFrame, VmTracer } from './vm.ts'

type Hex = `0x${string}`

export interface CallTracerOptions {
  /** The outermost frame only. */
  readonly onlyTopCall?: boolean
  /** Logs of each frame that was not undone. */
  readonly withLog?: boolean
}

/** One call, as geth's `callTracer` shows it in JSON. */
export interface CallFrame {
  readonly type: FrameType
  readonly from: Address
  /** Absent where a creation failed. */
  to?: Address
  /** Absent under STATICCALL. */
  readonly value?: Hex
  gas: Hex
  gasUsed: Hex
  readonly input: Hex
  output?: Hex
  error?: string
  /** The text of `revert("…")`, `require(…, "…")`. */
  revertReason?: string
  calls?: CallFrame[]
  logs?: CallLog[]
}

export interface CallLog {
  readonly address: Address
  readonly topics: readonly Hex[]
  readonly data: Hex
  /** Among all logs of the block. */
  index: Hex
  /** Calls that the frame had made before. */
  readonly position: Hex
}

/** Bytes that a frame takes besides its texts. */
const FRAME_BYTES = 500

/** Builds the tree of calls of one transaction. */
export class CallTracer implements VmTracer {
  readonly #options: CallTracerOptions
  readonly #budget: TraceBudget
  readonly #open: CallFrame[] = []
  #root: CallFrame | undefined

  constructor(options: CallTracerOptions, budget: TraceBudget) {
    this.#options = options
    this.#budget = budget
  }

  enter({ type, from, to, value, gas, input }: VmFrame): void {
    const isShown = this.#open.length === 0 || !this.#options.onlyTopCall
    if (isShown) this.#budget.spend(FRAME_BYTES + 2 * input.length)
    const frame: CallFrame = {
      type,
      from,
      ...(to && { to }),
      ...(value !== undefined && { value: hexNumber(value) }),
      gas: hexNumber(gas),
      gasUsed: '0x0',
      input: isShown ? bytesToHex(input) : '0x',
    }
    const parent = this.#open.at(-1)
    if (parent === undefined) this.#root = frame
    else if (isShown) (parent.calls ??= []).push(frame)
    this.#open.push(frame)
  }

  exit({ error, output, gasUsed, createdAddress }: Parameters<VmTracer['exit']>[0]): void {
    const frame = this.#open.pop()!
    if (this.#open.length > 0 && this.#options.onlyTopCall) return
    this.#budget.spend(2 * output.length)
    const isCreation = frame.type === 'CREATE' || frame.type === 'CREATE2'
    frame.gasUsed = hexNumber(gasUsed)
    if (createdAddress) frame.to = createdAddress
    if (error === undefined) {
      if (output.length > 0) frame.output = bytesToHex(output)
      return
    }
    frame.error = gethError(error)
    if (isCreation) delete frame.to
    dropLogs(frame)
    if (error !== 'revert' || output.length === 0) return
    frame.output = bytesToHex(output)
    const reason = revertReason(output)
    if (reason !== undefined) frame.revertReason = reason
  }

  log({ address, topics, data }: Log): void {
    if (!this.#options.withLog || (this.#options.onlyTopCall && this.#open.length > 1)) return
    this.#budget.spend(FRAME_BYTES + 2 * data.length)
    const frame = this.#open.at(-1)!
    const position = hexNumber(frame.calls?.length ?? 0)
    ;(frame.logs ??= []).push({
      address,
      topics: topics.map((topic) => bytesToHex(topic)),
      data: bytesToHex(data),
      index: '0x0',
      position,
    })
  }

  /** @param whole gas of the transaction, which the outermost frame shows in place of its own */
  result(whole: { gasLimit: bigint; gasUsed: bigint; firstLogIndex: number }): CallFrame {
    const root = this.#root!
    root.gas = hexNumber(whole.gasLimit)
    root.gasUsed = hexNumber(whole.gasUsed)
    numberLogs(root, whole.firstLogIndex)
    return root
  }
}

/** A frame that failed has logged nothing, and neither have those below it. */
function dropLogs(root: CallFrame): void {
  const frames = [root]
  for (let frame = frames.pop(); frame; frame = frames.pop()) {
    delete frame.logs
    for (const call of frame.calls ?? []) frames.push(call)
  }
}

/** Numbers logs in the order in which they came: a frame's own between its calls. Calls nest 1,024 deep at most. */
function numberLogs(frame: CallFrame, next: number): number {
  const logs = frame.logs ?? []
  const calls = frame.calls ?? []
  let log = 0
  for (let call = 0; call <= calls.length; call++) {
    for (; log < logs.length && Number(logs[log]!.position) === call; log++) logs[log]!.index = hexNumber(next++)
    if (call < calls.length) next = numberLogs(calls[call]!, next)
  }
  return next
}

const ERROR_SELECTOR = '08c379a0'

/** The argument of `Error(string)`, if that is what the revert data is. */
export function revertReason(data: Uint8Array): string | undefined {
  if (data.length < 68 || data.subarray(0, 4).toHex() !== ERROR_SELECTOR) return undefined
  if (bytesToInteger(data.subarray(4, 36)) !== 32n) return undefined
  const length = bytesToInteger(data.subarray(36, 68))
  if (length > BigInt(data.length - 68)) return undefined
  try {
    return utf8Decode(data.subarray(68, 68 + Number(length)))
  } catch {
    return undefined
  }
}
