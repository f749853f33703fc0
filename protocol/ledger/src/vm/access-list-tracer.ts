import { type Address, addressFromBytes } from '@cumulus/types'
import type { AccessListItem } from '../chain/transaction.ts'
import { wordToBytes } from '../trie/rlp.ts'
import type { VmFrame, VmStep, VmTracer } from './vm.ts'

/** Opcodes by what their stack's top names (EIP-2929): a slot, or an account; calls name theirs second. */
const SLOT = new Set(['SLOAD', 'SSTORE'])
const ACCOUNT = new Set(['BALANCE', 'EXTCODESIZE', 'EXTCODECOPY', 'EXTCODEHASH', 'SELFDESTRUCT'])
const CALL = new Set(['CALL', 'CALLCODE', 'DELEGATECALL', 'STATICCALL'])

/** Collects the accounts and slots that a run touches, as far as it pays to name them beforehand (EIP-2930). */
export class AccessListTracer implements VmTracer {
  readonly #touched = new Map<Address, Set<bigint>>()
  readonly #warm: Set<Address>

  /** @param warm accounts that are warm anyway: they are listed for their slots only */
  constructor(warm: Iterable<Address>) {
    this.#warm = new Set(warm)
  }

  get accessList(): AccessListItem[] {
    return [...this.#touched]
      .filter(([address, slots]) => slots.size > 0 || !this.#warm.has(address))
      .map(([address, slots]) => ({ address, slots: [...slots].map(wordToBytes) }))
  }

  enter(_frame: VmFrame): void {}
  exit(): void {}
  log(): void {}

  step({ name, stack, address, depth }: VmStep): void {
    // Called, or just being created.
    if (depth === 0) this.#warm.add(address)
    const top = stack.at(-1)
    if (top === undefined) return
    if (SLOT.has(name)) this.#slots(address).add(top)
    else if (ACCOUNT.has(name)) this.#slots(addressOf(top))
    else if (CALL.has(name) && stack.length > 1) this.#slots(addressOf(stack.at(-2)!))
  }

  #slots(address: Address): Set<bigint> {
    let slots = this.#touched.get(address)
    if (!slots) this.#touched.set(address, (slots = new Set()))
    return slots
  }
}

function addressOf(word: bigint): Address {
  return addressFromBytes(wordToBytes(word).subarray(12))
}
