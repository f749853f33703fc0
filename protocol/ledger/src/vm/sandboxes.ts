import { LedgerError } from '../ledger-error.ts'
import { JournaledState } from '../state/journaled-state.ts'
import type { StateReader } from '../state/state-reader.ts'
import { EthereumVm, type ModuleDispatch } from './ethereum-vm.ts'

/** A state of its own to try things on. */
export interface Sandbox {
  readonly state: JournaledState
  readonly vm: EthereumVm
  /** As the EVM asks it, for work between two messages. Throws the signal's reason once the run is given up. */
  pause: () => Promise<unknown> | undefined
}

export interface SandboxesInit {
  readonly modules: ModuleDispatch
  readonly chainId: number
  /** Runs that may be under way at once; the others wait. */
  readonly concurrent: number
  /** Runs that may be under way or waiting. */
  readonly waiting: number
  /** Asked every so often in a run: what to wait for before it goes on. */
  pause(): Promise<unknown> | undefined
}

/** Limits of what one run may remember between its reads: it sees a fraction of a state. */
const STATE_LIMITS = { cachedAccounts: 10_000, cachedSlots: 50_000 }

/**
 * Runs things on states of past blocks, and forgets what they changed. Each has a state and an EVM to itself, so that it
 * can be interrupted anywhere; making an EVM takes half a millisecond, so they are used again.
 */
export class Sandboxes {
  readonly #init: SandboxesInit
  readonly #idle: Sandbox[] = []
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(init: SandboxesInit) {
    this.#init = init
  }

  /**
   * @param signal breaks the run off at its next pause; it rejects with the signal's reason
   * @throws LedgerError BUSY
   */
  async run<T>(
    reader: StateReader,
    work: (sandbox: Sandbox) => Promise<T>,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<T> {
    const { concurrent, waiting } = this.#init
    if (this.#running + this.#waiting.length >= waiting) {
      throw new LedgerError('BUSY', 'too many calls are waiting', { limit: waiting })
    }
    if (this.#running < concurrent) this.#running++
    // Whoever leaves hands its place on.
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      await this.#pause(signal)
      const sandbox = this.#idle.pop() ?? this.#create()
      sandbox.state.reset(reader)
      sandbox.pause = sandbox.vm.pause = () => this.#pause(signal)
      const result = await work(sandbox)
      // Not after a failure, which may leave an EVM in the middle of something.
      sandbox.state.reset(NO_STATE)
      this.#idle.push(sandbox)
      return result
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#running--
    }
  }

  #pause(signal: AbortSignal | undefined): Promise<unknown> | undefined {
    signal?.throwIfAborted()
    return this.#init.pause()?.then(() => signal?.throwIfAborted())
  }

  #create(): Sandbox {
    const { modules, chainId } = this.#init
    const state = new JournaledState(NO_STATE, STATE_LIMITS)
    return { state, vm: new EthereumVm(state, modules, chainId), pause: () => undefined }
  }
}

const NO_STATE: StateReader = { get: () => undefined, node: () => undefined }
