import type { Address } from '@cumulus/types'
import type { WorldState } from '../world-state.ts'
import type { BlockContext, ModuleGenesis, ModuleLog, ModuleMessage, ModuleResult } from './message.ts'
import type { AnyModule } from './module.ts'

/** All modules of a chain and the one dispatcher in front of them. */
export class ModuleRegistry {
  readonly addresses: readonly Address[]
  readonly #modules = new Map<string, AnyModule>()

  constructor(modules: readonly AnyModule[]) {
    for (const module of modules) this.#modules.set(module.address.toLowerCase(), module)
    this.addresses = modules.map((module) => module.address)
  }

  has(address: Address): boolean {
    return this.#modules.has(address.toLowerCase())
  }

  genesis(_state: WorldState, _block: BlockContext, _config: ModuleGenesis = {}): void {
    throw new Error('being written')
  }

  dispatch(_message: ModuleMessage, _state: WorldState, _block: BlockContext): ModuleResult {
    throw new Error('being written')
  }

  onBlock(_state: WorldState, _block: BlockContext): ModuleLog[] {
    throw new Error('being written')
  }
}
