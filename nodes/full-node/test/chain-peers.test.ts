import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PeerIdentity } from '@cumulus/network'
import { ChainPeers, type ChainPeersLimits } from '../src/chain-peers.ts'
import { PeerFault } from '../src/full-node-error.ts'
import { quiet } from './test-chain.ts'

function peersWith(limits: Partial<ChainPeersLimits>) {
  const clock = { nowMs: 1_000 }
  const identity = PeerIdentity.create()
  const peers = new ChainPeers(
    { identity, genesisHash: new Uint8Array(32), handlers: {}, log: quiet, nowMs: () => clock.nowMs },
    limits,
  )
  const add = () => {
    const { publicKey, peerId } = PeerIdentity.create()
    peers.add({ peerKey: publicKey, addresses: [{ host: '127.0.0.1', port: 1 }], origin: 'configured' })
    return peers.all.find((peer) => peer.peerId === peerId)!
  }
  return { clock, peers, add }
}

const lie = () => new PeerFault('MALFORMED', 'a lie')

describe('a ban', () => {
  it('doubles with each further one of the same peer, up to the longest', () => {
    const { clock, peers, add } = peersWith({ banMs: 100, banMsMax: 350 })
    const peer = add()
    for (const ms of [100, 200, 350, 350]) {
      peers.judge(peer, lie())
      clock.nowMs += ms - 1
      assert.equal(peers.isBanned(peer.peerId), true, `${ms}`)
      clock.nowMs += 1
      assert.equal(peers.isBanned(peer.peerId), false, `${ms}`)
    }
  })

  it('comes at once for a lie, and for slowness the third time in a row', () => {
    const { peers, add } = peersWith({})
    const [liar, slow] = [add(), add()]
    peers.judge(liar, lie())
    assert.equal(peers.isBanned(liar.peerId), true)
    for (const isBanned of [false, false, true]) {
      peers.judge(slow, new PeerFault('STALLED', 'late'))
      assert.equal(peers.isBanned(slow.peerId), isBanned)
    }
  })

  it('is remembered of so many peers only, the last ones', () => {
    const { peers, add } = peersWith({ bansMax: 2 })
    const three = [add(), add(), add()]
    for (const peer of three) peers.judge(peer, lie())
    assert.deepEqual(
      three.map(({ peerId }) => peers.isBanned(peerId)),
      [false, true, true],
    )
    assert.equal(peers.bannedCount, 2)
  })
})
