import type { Address } from '@cumulus/types'
import type { WorldState } from '../world-state.ts'
import { type GasMeter, gasPrices } from './gas.ts'
import type { BlockContext, ModuleLog } from './message.ts'
import { require } from './revert.ts'
import type { SlotPort } from './solidity-storage.ts'

const WRITTEN = 1

/** One call as it runs, through however many modules: everything it does to the world goes through here and is paid. */
export class Execution {
  readonly state: WorldState
  readonly block: BlockContext
  readonly origin: Address
  readonly gas: GasMeter
  readonly logs: ModuleLog[] = []
  /** Slots read and written so far, by all modules together, each as often as it was. */
  loadCount = 0
  storeCount = 0
  /** Services bound to this call, by the module asked and the one asking: made once. */
  readonly answers = new Map<unknown, Map<Address, unknown>>()
  readonly #readOnly: boolean
  /** Slots touched in this call, by account: 0 read, 1 written. */
  readonly #touched = new Map<Address, Map<bigint, number>>()

  constructor(
    state: WorldState,
    block: BlockContext,
    { origin, gas, readOnly }: { origin: Address; gas: GasMeter; readOnly: boolean },
  ) {
    this.state = state
    this.block = block
    this.origin = origin
    this.gas = gas
    this.#readOnly = readOnly
  }

  /** The storage of one account. A module is only ever given its own. */
  slotsOf(account: Address): SlotPort {
    const { state, gas } = this
    let touched = this.#touched.get(account)
    if (!touched) this.#touched.set(account, (touched = new Map()))
    return {
      load: (slot) => {
        this.loadCount++
        if (touched.has(slot)) {
          gas.charge(gasPrices.warmLoad)
        } else {
          gas.charge(gasPrices.coldLoad)
          touched.set(slot, 0)
        }
        return state.getStorage(account, slot)
      },
      store: (slot, value) => {
        this.#assertWritable()
        this.storeCount++
        const seen = touched.get(slot)
        const before = state.getStorage(account, slot)
        let price: number = gasPrices.storeSame
        if (value !== before && seen !== WRITTEN) price = before === 0n ? gasPrices.storeNew : gasPrices.storeChange
        gas.charge(seen === undefined ? price + gasPrices.coldLoad : price)
        touched.set(slot, value === before ? (seen ?? 0) : WRITTEN)
        if (value !== before) state.setStorage(account, slot, value)
      },
      hashed: () => gas.charge(gasPrices.hash),
    }
  }

  log(entry: ModuleLog): void {
    this.#assertWritable()
    this.gas.charge(gasPrices.log + gasPrices.logTopic * entry.topics.length + gasPrices.logByte * entry.data.length)
    this.logs.push(entry)
  }

  /** Moves tokens. No code runs at the receiver's end. */
  transfer(from: Address, to: Address, amount: bigint): void {
    this.#assertWritable()
    if (amount < 0n) throw new RangeError(`cannot transfer ${amount}`)
    if (amount === 0n) return
    const { state } = this
    const exists = state.getBalance(to) > 0n || state.getNonce(to) > 0n || state.getCode(to).length > 0
    this.gas.charge(exists ? gasPrices.transfer : gasPrices.transfer + gasPrices.newAccount)
    const balance = state.getBalance(from)
    require(balance >= amount, 'module has not enough tokens')
    state.setBalance(from, balance - amount)
    state.setBalance(to, state.getBalance(to) + amount)
  }

  /** Makes new tokens on an account, or takes some off it for ever. Only a module that `issues` gets here. */
  issue(account: Address, amount: bigint): void {
    this.#assertWritable()
    const balance = this.state.getBalance(account) + amount
    if (balance < 0n) throw new Error(`${account} has not ${-amount} wei to burn`)
    this.gas.charge(gasPrices.transfer)
    this.state.setBalance(account, balance)
  }

  /** The dispatcher has refused writes before they begin; this is for views that write by mistake. */
  #assertWritable(): void {
    if (this.#readOnly) throw new Error('a view wrote to the state')
  }
}
