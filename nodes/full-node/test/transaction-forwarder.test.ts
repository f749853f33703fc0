import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Transaction } from '@cumulus/ledger'
import { signed, testAccount } from '../../execution/test/transactions.ts'
import type { ChainPeers } from '../src/chain-peers.ts'
import { type ForwarderLimits, TransactionForwarder } from '../src/transaction-forwarder.ts'
import { quiet, until } from './test-chain.ts'

/** A forwarder with one peer to send to, which counts what it gets and never puts it into a block. */
function forwarding(limits: Partial<ForwarderLimits>, { isConnected = true } = {}) {
  const pool = new Set<Transaction>()
  let tell: (transaction: Transaction) => void = () => {}
  const mempool = {
    onAdded: (listener: typeof tell) => {
      tell = listener
      return () => {}
    },
    get: (hash: Uint8Array) => [...pool].find((one) => one.hash === hash),
  }
  const sent = { requests: 0 }
  const peer = { peerId: 'peer', known: { peerKey: new Uint8Array(32) }, status: { isOrdering: true } }
  const peers = {
    connected: isConnected ? [peer] : [],
    request: async () => {
      sent.requests++
      throw new Error('no answer')
    },
  } as unknown as ChainPeers
  const forwarder = new TransactionForwarder({ mempool: mempool as never, peers, log: quiet }, limits)
  const stop = new AbortController()
  const running = forwarder.run({ signal: stop.signal })
  return {
    forwarder,
    sent,
    add: (transaction: Transaction) => {
      pool.add(transaction)
      tell(transaction)
    },
    settle: (transaction: Transaction) => pool.delete(transaction),
    close: () => {
      stop.abort()
      return running
    },
  }
}

describe('a transaction that is sent on', () => {
  it('is tried so many times, and then left to whoever sent it', async () => {
    const one = forwarding({ againMs: 4, gatherMs: 1, triesMax: 3 })
    one.add(await signed(testAccount(0)))
    await until(() => one.forwarder.waitingCount === 0, 'it is given up')
    assert.equal(one.sent.requests, 3)
    await one.close()
  })

  it('is not tried again once it has left the pool', async () => {
    const one = forwarding({ againMs: 4, gatherMs: 1, triesMax: 1_000_000 })
    const transaction = await signed(testAccount(0))
    one.add(transaction)
    await until(() => one.sent.requests > 0, 'it is sent')
    one.settle(transaction)
    await until(() => one.forwarder.waitingCount === 0, 'it is forgotten')
    await one.close()
  })

  it('is one of so many that wait: the oldest is forgotten first', async () => {
    const one = forwarding({ waitingMax: 2 }, { isConnected: false })
    for (let index = 0; index < 5; index++) one.add(await signed(testAccount(index)))
    assert.equal(one.forwarder.waitingCount, 2)
    await one.close()
  })
})
