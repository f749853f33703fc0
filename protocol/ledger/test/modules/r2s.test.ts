import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { GenesisCommittee } from '../../src/framework/index.ts'
import { coinMode, module, r2s } from '../../src/index.ts'
import { TestChain } from '../framework/test-chain.ts'
import { account } from './test-network.ts'

const hex = (byte: number, count: number) => `0x${byte.toString(16).padStart(2, '0').repeat(count)}` as const
const committeeOf = (count: number): GenesisCommittee => ({
  members: Array.from({ length: count }, (_, index) => ({
    account: account(index + 1),
    peerKey: hex(index + 1, 32),
    blsKey: hex(index + 1, 48),
    blsProof: hex(index + 1, 96),
    address: `/ip4/127.0.0.1/tcp/${9100 + index}`,
  })),
  coin: { mode: 'dealt', publicKey: hex(9, 48), shareKeys: [] },
})
const asker = module({ name: 'Asker', address: '0x0000000000000000000000000000000000000cff', storage: {} }).view(
  'function ask(address who) view returns (bool, uint256)',
  (c, who) => [c.ask(r2s).isMember(who), BigInt(c.ask(r2s).quorum())] as const,
)
const chainOf = (committee?: GenesisCommittee) => new TestChain([r2s, asker], { genesis: { committee } })

describe('the committee on chain', () => {
  it('is that of genesis, seat by seat', () => {
    for (const count of [1, 4, 31]) {
      const committee = committeeOf(count)
      assert.deepEqual(
        chainOf(committee).call(r2s, 'committee', []),
        committee.members.map(({ account, peerKey, blsKey, address }) => ({
          account,
          peerKey,
          blsKey,
          addresses: address,
        })),
      )
    }
  })

  it('says who is a member, how many decide, and how the coin came about', () => {
    const chain = chainOf(committeeOf(11))
    for (let i = 1; i <= 11; i++) assert.equal(chain.call(r2s, 'isMember', [account(i)]), true)
    assert.equal(chain.call(r2s, 'isMember', [account(12)]), false)
    assert.equal(chain.call(r2s, 'quorum', []), 8n)
    assert.deepEqual(chain.call(r2s, 'coin', []), [coinMode.Dealt, hex(9, 48)])
    assert.deepEqual(chain.call(asker, 'ask', [account(11)]), [true, 8n])
    const open = chainOf({ ...committeeOf(3), coin: { mode: 'public' } })
    assert.deepEqual(open.call(r2s, 'coin', []), [coinMode.Public, '0x'])
  })

  it('is empty where one validator orders alone', () => {
    const chain = chainOf()
    assert.deepEqual(chain.call(r2s, 'committee', []), [])
    assert.equal(chain.call(r2s, 'quorum', []), 0n)
    assert.deepEqual(chain.call(asker, 'ask', [account(1)]), [false, 0n])
    assert.deepEqual(chain.call(r2s, 'coin', []), [0, '0x'])
  })
})
