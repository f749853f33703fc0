import type { Address } from '@cumulus/types'
import { LedgerError } from '../ledger-error.ts'
import type { JournaledState } from '../state/journaled-state.ts'
import type { Vm, VmBlock } from '../vm/vm.ts'

/**
 * A contract that is there from the first chain block on, at an address of one's choice. Either its code is given, or
 * the code that makes it: that runs on the account itself, as a constructor would, so that variables and immutables are
 * what the author of the contract meant them to be.
 */
export type Predeploy = { readonly name: string; readonly address: Address } & (
  | { readonly code: Uint8Array }
  /** Constructor, code, and the encoded arguments behind them. */
  | { readonly creationCode: Uint8Array }
)

/** For one constructor. Those of the DAO and of account abstraction take 1 to 6 million. */
const CONSTRUCTOR_GAS = 30_000_000n

/** EIP-170. */
const CODE_BYTES_MAX = 24_576

const NOBODY: Address = '0x0000000000000000000000000000000000000000'

/**
 * Puts contracts into block 0, in their order: a constructor finds those before it. Balances that the allocation gave
 * such an address stay.
 *
 * @throws LedgerError BAD_GENESIS
 */
export async function buildPredeploys(
  state: JournaledState,
  predeploys: readonly Predeploy[],
  vm: Vm,
  block: VmBlock,
): Promise<void> {
  for (const predeploy of predeploys) {
    const { name } = predeploy
    const address = predeploy.address.toLowerCase() as Address
    const refuse = (reason: string) => new LedgerError('BAD_GENESIS', `${name} at ${address} ${reason}`, { address })
    if (!/^0x[0-9a-f]{40}$/.test(address)) throw refuse('is not at an address')
    if (state.getCode(address).length > 0 || state.getNonce(address) > 0n || vm.precompiles.includes(address)) {
      throw refuse('is where something else is')
    }
    // As EIP-161 has it for created contracts: what a constructor creates is found by nonce 1.
    state.setNonce(address, 1n)
    if ('code' in predeploy) {
      state.setCode(address, predeploy.code)
    } else {
      state.beginTransaction()
      state.setCode(address, predeploy.creationCode)
      const message = { caller: NOBODY, to: address, value: 0n, data: new Uint8Array(), gasPrice: 0n, warm: [] }
      const { ok, error, output } = await vm.run({ ...message, gasLimit: CONSTRUCTOR_GAS }, block)
      if (!ok) throw refuse(`cannot be constructed: ${error} 0x${output.toHex()}`)
      state.setCode(address, output)
    }
    const { length } = state.getCode(address)
    if (length === 0 || length > CODE_BYTES_MAX) throw refuse(`has ${length} bytes of code`)
  }
}
