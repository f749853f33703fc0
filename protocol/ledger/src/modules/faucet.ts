import { address, dict, module, require, u64 } from '../framework/index.ts'
import { ZERO_ADDRESS } from './rules.ts'

/** Grants the faucet holds at genesis unless the genesis file names a balance. */
const DEFAULT_GRANT_COUNT = 1_000_000n

/** Gives tokens away, once per receiver and epoch. On development and test networks only. */
export const faucet = module({
  name: 'Faucet',
  address: '0x0000000000000000000000000000000000000c0f',
  about: 'Gives tokens away on development networks.',
  storage: {
    /** The epoch of the last grant, plus 1: 0 stands for never. */
    grantedAt: dict(address, u64),
  },
  events: { Claimed: 'event Claimed(address indexed to, uint256 amount)' },
})
  .genesis((c, { balances, endow }) => {
    if (balances?.['Faucet'] === undefined) endow(c.params.faucetGrant * DEFAULT_GRANT_COUNT)
  })
  .fn('function claim(address to) returns (uint256 amount)', 0, (c, to) => {
    require(to !== ZERO_ADDRESS, 'nobody to give to')
    const now = BigInt(c.block.epoch) + 1n
    require(c.s.grantedAt.get(to) !== now, 'already claimed in this epoch')
    const amount = c.params.faucetGrant
    require(c.balance() >= amount, 'the faucet is empty')
    c.s.grantedAt.set(to, now)
    c.transfer(to, amount)
    c.emit.Claimed(to, amount)
    return amount
  })
