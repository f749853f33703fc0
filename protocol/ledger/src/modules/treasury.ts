import { cell, module, u256 } from '../framework/index.ts'

/** Where rent goes. How it is paid out again is decided with issuance. */
export const treasury = module({
  name: 'Treasury',
  address: '0x0000000000000000000000000000000000000c0a',
  about: 'Receives the rent of territories.',
  storage: { received: cell(u256) },
})
  /** Notes rent that the asking module has just transferred to this one's account. */
  .service('credit', (c, amount: bigint) => c.s.received.set(c.s.received.get() + amount))
  .view('function received() view returns (uint256)', (c) => c.s.received.get())
