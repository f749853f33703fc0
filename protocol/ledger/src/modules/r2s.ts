import { hexToBytes } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'
import { address, array, bytes, bytes32, cell, dict, module, struct, text, u8 } from '../framework/index.ts'

/** How the coin came about. Public: no key, everybody computes it. Dealt: one dealer knew all shares; for development. */
export const coinMode = { Public: 1, Dealt: 2 } as const

/**
 * Who orders and certifies, for contracts and modules to ask. It is the committee of genesis; elections and the hand-over from era to
 * era will write here.
 */
export const r2s = module({
  name: 'R2S',
  address: '0x0000000000000000000000000000000000000c02',
  about: 'The committee that orders and certifies chain blocks.',
  structs: ['struct Member { address account; bytes32 peerKey; bytes blsKey; string addresses; }'],
  storage: {
    /** By seat. */
    accounts: array(address),
    members: dict(
      address,
      struct({
        /** Seat plus 1: 0 stands for nobody. */
        place: u8,
        peerKey: bytes32,
        blsKey: bytes,
        addresses: text,
      }),
    ),
    coinMode: cell(u8),
    /** Of the coin, 48 bytes in G1; empty if the coin is public. Coins are plain BLS signatures of it. */
    coinKey: bytes,
  },
})
  .genesis((c, { committee }) => {
    if (!committee) return
    for (const [index, { account, peerKey, blsKey, address }] of committee.members.entries()) {
      const key = account.toLowerCase() as Address
      c.s.accounts.push(key)
      c.s.members.at(key).set({ place: index + 1, peerKey, blsKey: hexToBytes(blsKey), addresses: address })
    }
    c.s.coinMode.set(committee.coin.mode === 'dealt' ? coinMode.Dealt : coinMode.Public)
    if (committee.coin.mode === 'dealt') c.s.coinKey.set(hexToBytes(committee.coin.publicKey))
  })
  /** Whether the account has a seat now. */
  .service(
    'isMember',
    (c, account: Address) =>
      c.s.members
        .at(account.toLowerCase() as Address)
        .field('place')
        .get() > 0,
  )
  /** How many members decide: n - f. 0 if one validator orders alone. */
  .service('quorum', (c) => quorumOf(c.s.accounts.length()))
  .view('function committee() view returns (Member[])', (c) =>
    Array.from({ length: c.s.accounts.length() }, (_, index) => {
      const account = c.s.accounts.get(index)
      const { peerKey, blsKey, addresses } = c.s.members.at(account).get()
      return { account, peerKey, blsKey: `0x${blsKey.toHex()}` as const, addresses }
    }),
  )
  .view(
    'function isMember(address account) view returns (bool)',
    (c, account) =>
      c.s.members
        .at(account.toLowerCase() as Address)
        .field('place')
        .get() > 0,
  )
  .view('function quorum() view returns (uint256)', (c) => BigInt(quorumOf(c.s.accounts.length())))
  .view('function coin() view returns (uint8 mode, bytes publicKey)', (c) => {
    return [c.s.coinMode.get(), `0x${c.s.coinKey.get().toHex()}`] as const
  })

/** q = n - f, as certificates need: 3 of 4, 8 of 11. */
function quorumOf(size: number): number {
  return size === 0 ? 0 : size - Math.floor((size - 1) / 3)
}
