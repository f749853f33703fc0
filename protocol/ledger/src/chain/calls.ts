import type { Address } from '@cumulus/types'
import { LedgerError } from '../ledger-error.ts'
import type { JournaledState } from '../state/journaled-state.ts'
import type { StateReader } from '../state/state-reader.ts'
import { AccessListTracer } from '../vm/access-list-tracer.ts'
import type { Sandbox, Sandboxes } from '../vm/sandboxes.ts'
import type { Log, VmBlock } from '../vm/vm.ts'
import { type ChainRules, vmBlock } from './block-context.ts'
import { intrinsicGas, min, type Runnable, runMessage, TRANSACTION_GAS_MAX } from './execute-transaction.ts'
import type { HashedHeader } from './header.ts'
import type { AccessListItem, Authorization } from './transaction.ts'

export interface CallRequest {
  readonly from?: Address
  readonly to?: Address
  readonly value?: bigint
  readonly data?: Uint8Array
  /** Undefined: as much as a block has. */
  readonly gas?: bigint
  readonly gasPrice?: bigint
  readonly accessList?: readonly AccessListItem[]
  readonly authorizations?: readonly Authorization[]
}

export interface CallResult {
  readonly ok: boolean
  readonly error: string | undefined
  /** Return data, or revert data. */
  readonly output: Uint8Array
  readonly gasUsed: bigint
  readonly logs: readonly Log[]
}

/** What a message touches, for its transaction to name beforehand (EIP-2930), and what it costs then. */
export interface AccessListResult {
  readonly accessList: readonly AccessListItem[]
  readonly gasUsed: bigint
  /** Why it failed with this list, if it did. */
  readonly error: string | undefined
}

/** What one account is taken to be, whatever the chain says. What is absent stays as it is. */
export interface AccountOverride {
  readonly balance?: bigint
  readonly nonce?: bigint
  readonly code?: Uint8Array
  /** All of its storage: other slots are 0. Not together with `stateDiff`. */
  readonly state?: ReadonlyMap<bigint, bigint>
  /** Some of its slots. */
  readonly stateDiff?: ReadonlyMap<bigint, bigint>
}

/** What the block is taken to be in which a call runs. What is absent is that of the block asked for. */
export interface BlockOverrides {
  readonly number?: bigint
  /** Seconds since 1970; epoch and era follow from it. */
  readonly timestamp?: bigint
  readonly gasLimit?: bigint
  readonly coinbase?: Address
  readonly prevRandao?: Uint8Array
  readonly baseFee?: bigint
}

export interface CallOptions {
  readonly overrides?: ReadonlyMap<Address, AccountOverride>
  readonly blockOverrides?: BlockOverrides
  /** Breaks off at the next pause; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

const ZERO_ADDRESS: Address = '0x0000000000000000000000000000000000000000'

/** Messages that are executed on the state of a block and forgotten. Nobody pays. */
export class Calls {
  readonly #rules: ChainRules
  readonly #sandboxes: Sandboxes

  constructor(rules: ChainRules, sandboxes: Sandboxes) {
    this.#rules = rules
    this.#sandboxes = sandboxes
  }

  call(request: CallRequest, header: HashedHeader, state: StateReader, options: CallOptions): Promise<CallResult> {
    return this.#sandboxes.run(
      state,
      (sandbox) => {
        const block = overriddenBlock(this.#rules, header, options.blockOverrides)
        applyOverrides(sandbox.state, options.overrides)
        return tryMessage(sandbox, request, request.gas ?? block.gasLimit, block)
      },
      options,
    )
  }

  estimateGas(
    request: CallRequest,
    header: HashedHeader,
    state: StateReader,
    options: CallOptions,
  ): Promise<CallResult> {
    return this.#sandboxes.run(
      state,
      async (sandbox) => {
        const block = overriddenBlock(this.#rules, header, options.blockOverrides)
        applyOverrides(sandbox.state, options.overrides)
        const ceiling = min(request.gas ?? TRANSACTION_GAS_MAX, min(TRANSACTION_GAS_MAX, block.gasLimit))
        const most = await tryMessage(sandbox, request, ceiling, block)
        if (!most.ok) return most
        const succeeds = async (gas: bigint) => (await tryMessage(sandbox, request, gas, block)).ok
        return { ...most, gasUsed: await leastGas(most.gasUsed, ceiling, succeeds) }
      },
      options,
    )
  }

  createAccessList(
    request: CallRequest,
    header: HashedHeader,
    state: StateReader,
    options: CallOptions,
  ): Promise<AccessListResult> {
    return this.#sandboxes.run(
      state,
      (sandbox) => {
        const block = overriddenBlock(this.#rules, header, options.blockOverrides)
        applyOverrides(sandbox.state, options.overrides)
        return settledAccessList(sandbox, request, block)
      },
      options,
    )
  }
}

/** Lists tried at most: each names what the run with the one before touched, and settles at the second as a rule. */
const ACCESS_LISTS_MAX = 8

async function settledAccessList(sandbox: Sandbox, request: CallRequest, block: VmBlock): Promise<AccessListResult> {
  const gas = request.gas ?? block.gasLimit
  const warm = [request.from ?? ZERO_ADDRESS, block.coinbase, ...sandbox.vm.precompiles]
  let accessList = request.accessList ?? []
  for (let left = ACCESS_LISTS_MAX; ; left--) {
    const tracer = new AccessListTracer(warm)
    sandbox.vm.tracer = tracer
    const { gasUsed, error } = await tryMessage(sandbox, { ...request, accessList }, gas, block)
    sandbox.vm.tracer = undefined
    if (left === 0 || sizeOf(tracer.accessList) === sizeOf(accessList)) return { accessList, gasUsed, error }
    accessList = tracer.accessList
  }
}

/** What a run touches does not depend on what was warm, but for its gas: lists of one size are the same list. */
function sizeOf(accessList: readonly AccessListItem[]): string {
  return `${accessList.length}/${accessList.reduce((sum, { slots }) => sum + slots.length, 0)}`
}

/** To 1.5 %. Gas that is given back at the end must be there in between: what was used is often too little. */
async function leastGas(used: bigint, ceiling: bigint, succeeds: (gas: bigint) => Promise<boolean>): Promise<bigint> {
  let low = used - 1n
  let high = ceiling
  for (let guess = used; low + 1n < high; guess = (low + high) >> 1n) {
    if (await succeeds(guess)) high = guess
    else low = guess
    if ((high - low) * 1000n < high * 15n) break
    // The first probes stay close to what was used: 63/64 rule and stipends need little more.
    if (high === ceiling && low < used * 2n) {
      const near = (low * 65n) / 64n + 2_300n
      if (near < high && (await succeeds(near))) high = near
      else if (near < high) low = near
    }
  }
  return high
}

/** The message as a transaction would run it, without its fees. Leaves the state as it was. */
export async function tryMessage(
  { state, vm }: Sandbox,
  request: CallRequest,
  gasLimit: bigint,
  block: VmBlock,
): Promise<CallResult> {
  const sender = (request.from ?? ZERO_ADDRESS).toLowerCase() as Address
  const runnable: Runnable = {
    to: request.to?.toLowerCase() as Address | undefined,
    value: request.value ?? 0n,
    data: request.data ?? new Uint8Array(0),
    gasLimit,
    accessList: request.accessList ?? [],
    authorizations: request.authorizations ?? [],
  }
  const { intrinsic, floor } = intrinsicGas(runnable)
  if (gasLimit < intrinsic || gasLimit < floor) {
    return { ok: false, error: 'out of gas', output: new Uint8Array(0), gasUsed: gasLimit, logs: [] }
  }
  state.beginTransaction()
  state.checkpoint()
  state.setNonce(sender, state.getNonce(sender) + 1n)
  const { gasUsed, result } = await runMessage(runnable, sender, request.gasPrice ?? 0n, state, vm, block)
  state.revertAll()
  return { ok: result.ok, error: result.error, output: result.output, gasUsed, logs: result.logs }
}

/** @throws LedgerError BAD_OVERRIDE */
export function applyOverrides(state: JournaledState, overrides: CallOptions['overrides']): void {
  for (const [address, override] of overrides ?? []) {
    if (override.state && override.stateDiff) {
      throw new LedgerError('BAD_OVERRIDE', `${address} has both state and stateDiff`, { address })
    }
    try {
      if (override.nonce !== undefined) state.setNonce(address, override.nonce)
      if (override.code !== undefined) state.setCode(address, override.code)
      if (override.balance !== undefined) state.setBalance(address, override.balance)
      if (override.state) state.replaceStorage(address, override.state)
      for (const [slot, value] of override.stateDiff ?? []) state.setStorage(address, slot, value)
    } catch (cause) {
      throw new LedgerError('BAD_OVERRIDE', `a value for ${address} is out of range`, { address, cause })
    }
  }
}

/** @throws LedgerError BAD_OVERRIDE */
export function overriddenBlock(
  rules: ChainRules,
  header: HashedHeader,
  { number, timestamp, gasLimit, coinbase, prevRandao, baseFee }: BlockOverrides = {},
): VmBlock {
  // Epochs are counted in doubles; nobody will miss the year 35,000.
  if (timestamp !== undefined && timestamp >= 1n << 40n) {
    throw new LedgerError('BAD_OVERRIDE', `time ${timestamp} is out of range`, { timestamp })
  }
  const block = vmBlock(rules, {
    number: number ?? header.number,
    timestampMs: timestamp === undefined ? header.timestampMs : Number(timestamp) * 1000,
    gasLimit: gasLimit ?? header.gasLimit,
    coinbase: (coinbase?.toLowerCase() as Address | undefined) ?? header.coinbase,
    prevRandao: prevRandao ?? header.prevRandao,
    baseFee: baseFee ?? header.baseFee,
  })
  // A block number out of thin air has blocks before it that nobody made.
  return { ...block, blockHash: (at) => rules.blocks.header(at)?.hash ?? new Uint8Array(32) }
}
