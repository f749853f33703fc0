import type { Address } from '@cumulus/types'
import type { WorldState } from '../world-state.ts'
import { Execution } from './execution.ts'
import { GasMeter } from './gas.ts'
import type { BlockContext, BlockOutcome, ModuleGenesis, ModuleLog, ModuleMessage, ModuleResult } from './message.ts'
import type { AnyModule } from './module.ts'
import { OutOfGas, Revert, require } from './revert.ts'

/** INVALID: whoever runs a module's account as a contract stops at once. Code makes the account exist for tools. */
export const MODULE_CODE = new Uint8Array([0xfe])

/** What the hooks of a module did in one chain block, and in the modules that they asked. */
export interface HookWork {
  readonly loadCount: number
  readonly storeCount: number
}

/** Block hooks are bounded by their modules, not by gas. */
const UNMETERED = BigInt(Number.MAX_SAFE_INTEGER)

/**
 * All modules of a chain and the one dispatcher in front of them. Every rule about *how* a module may be called is here
 * and nowhere else: a second state, or a rule checked by each module for itself, is how such systems have failed.
 */
export class ModuleRegistry {
  /** In lower case. */
  readonly addresses: readonly Address[]
  readonly #modules = new Map<Address, AnyModule>()
  readonly #hookWork = new Map<string, HookWork>()

  constructor(modules: readonly AnyModule[]) {
    for (const module of modules) {
      const address = module.address.toLowerCase() as Address
      if (this.#modules.has(address)) throw new Error(`two modules at ${address}`)
      this.#modules.set(address, module)
    }
    this.addresses = [...this.#modules.keys()]
  }

  has(address: Address): boolean {
    return this.#modules.has(address) || this.#modules.has(address.toLowerCase() as Address)
  }

  /** Makes the accounts of all modules and runs what each does in the first chain block. */
  genesis(state: WorldState, block: BlockContext, config: ModuleGenesis = {}): void {
    const modules = [...this.#modules.entries()]
    const issuers = modules.filter(([, { definition }]) => definition.issues)
    let supply = config.allocated ?? 0n
    for (const [address, module] of [...modules.filter(([, { definition }]) => !definition.issues), ...issuers]) {
      state.setNonce(address, 1n)
      state.setCode(address, MODULE_CODE)
      const endowment = config.balances?.[module.name]
      if (endowment !== undefined) state.setBalance(address, endowment)
      module.runGenesis(unmetered(state, block, address), { ...config, supply })
      supply += state.getBalance(address)
    }
  }

  /**
   * Runs one call. A module that refuses, or runs out of gas, leaves the state as it was. Any other error is a mistake
   * in the node: it is passed on, the state is as it was, and the node must stop.
   */
  dispatch(message: ModuleMessage, state: WorldState, block: BlockContext): ModuleResult {
    const module = this.#modules.get(message.to.toLowerCase() as Address)
    if (!module) throw new Error(`no module at ${message.to}`)
    const gas = new GasMeter(message.gasLimit)
    const readOnly = message.isStatic || message.kind === 'staticcall' || module.isView(message.data)
    const execution = new Execution(state, block, { origin: message.origin.toLowerCase() as Address, gas, readOnly })
    let output: Uint8Array
    state.checkpoint()
    try {
      // Before anything else: under these kinds the storage and the value would be somebody else's.
      require(message.kind === 'call' || message.kind === 'staticcall', `modules refuse ${message.kind}`)
      output = module.run(execution, { ...message, isStatic: message.isStatic || message.kind === 'staticcall' })
    } catch (error) {
      state.revert()
      if (error instanceof Revert) return failed(error.data, gas)
      if (error instanceof OutOfGas) return failed(new Uint8Array(), gas)
      throw error
    }
    state.commit()
    return { ok: true, output, gasUsed: BigInt(gas.used), logs: execution.logs }
  }

  /** By module name: what the hooks of the last chain block did. No rule of the chain, only to be watched. */
  get hookWork(): ReadonlyMap<string, HookWork> {
    return this.#hookWork
  }

  /** Runs what modules do at the end of a chain block, in the order of the list. */
  onBlock(state: WorldState, block: BlockContext, outcome: BlockOutcome): ModuleLog[] {
    const logs: ModuleLog[] = []
    for (const [address, module] of this.#modules) {
      const execution = unmetered(state, block, address)
      module.runHooks(execution, outcome)
      const { loadCount, storeCount } = execution
      this.#hookWork.set(module.name, { loadCount, storeCount })
      logs.push(...execution.logs)
    }
    return logs
  }
}

function failed(output: Uint8Array, gas: GasMeter): ModuleResult {
  return { ok: false, output, gasUsed: BigInt(gas.used), logs: [] }
}

function unmetered(state: WorldState, block: BlockContext, origin: Address): Execution {
  return new Execution(state, block, { origin, gas: new GasMeter(UNMETERED), readOnly: false })
}
