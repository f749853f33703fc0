import type { Address } from '@cumulus/types'
import type { WorldState } from '../../src/world-state.ts'

type Undo = () => void

/** The simplest world there can be: maps and an undo list. */
export class MemoryWorld implements WorldState {
  readonly #balances = new Map<string, bigint>()
  readonly #nonces = new Map<string, bigint>()
  readonly #codes = new Map<string, Uint8Array>()
  readonly #slots = new Map<string, bigint>()
  readonly #undo: Undo[] = []
  readonly #marks: number[] = []

  getBalance(address: Address): bigint {
    return this.#balances.get(address) ?? 0n
  }
  setBalance(address: Address, balance: bigint): void {
    this.#put(this.#balances, address, balance, 0n)
  }
  getNonce(address: Address): bigint {
    return this.#nonces.get(address) ?? 0n
  }
  setNonce(address: Address, nonce: bigint): void {
    this.#put(this.#nonces, address, nonce, 0n)
  }
  getCode(address: Address): Uint8Array {
    return this.#codes.get(address) ?? new Uint8Array()
  }
  setCode(address: Address, code: Uint8Array): void {
    this.#put(this.#codes, address, code, undefined)
  }
  getStorage(address: Address, slot: bigint): bigint {
    return this.#slots.get(`${address} ${slot}`) ?? 0n
  }
  setStorage(address: Address, slot: bigint, value: bigint): void {
    this.#put(this.#slots, `${address} ${slot}`, value, 0n)
  }
  checkpoint(): void {
    this.#marks.push(this.#undo.length)
  }
  revert(): void {
    const mark = this.#marks.pop()!
    while (this.#undo.length > mark) this.#undo.pop()!()
  }
  commit(): void {
    this.#marks.pop()
  }

  get openCheckpoints(): number {
    return this.#marks.length
  }

  totalBalance(): bigint {
    return [...this.#balances.values()].reduce((sum, balance) => sum + balance, 0n)
  }

  /** Slots of one account that are not zero. */
  slotsOf(address: Address): Map<bigint, bigint> {
    const slots = new Map<bigint, bigint>()
    for (const [key, value] of this.#slots) {
      const [owner, slot] = key.split(' ')
      if (owner === address && value !== 0n) slots.set(BigInt(slot!), value)
    }
    return slots
  }

  /** Everything, as text that is equal only for equal worlds. */
  snapshot(): string {
    const all = [this.#balances, this.#nonces, this.#codes, this.#slots] as Map<string, unknown>[]
    return all
      .map((map) =>
        [...map]
          .map(([key, value]) => `${key}=${value}`)
          .sort()
          .join('\n'),
      )
      .join('\n--\n')
  }

  #put<Value>(map: Map<string, Value>, key: string, value: Value, none: Value | undefined): void {
    const before = map.get(key)
    this.#undo.push(() => (before === undefined ? map.delete(key) : map.set(key, before)))
    if (value === none) map.delete(key)
    else map.set(key, value)
  }
}
