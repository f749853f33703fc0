import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Address } from '@cumulus/types'
import fc from 'fast-check'
import { JournaledState } from '../../src/state/journaled-state.ts'
import { MemoryLedgerStore } from '../../src/state/ledger-store.ts'
import { readerOf } from '../../src/state/state-reader.ts'
import { StateTrie } from '../../src/trie/state-trie.ts'

const addresses = [1, 2, 3].map((i): Address => `0x${i.toString(16).padStart(40, 'a')}`)

type Action =
  | { do: 'balance' | 'nonce'; who: number; value: bigint }
  | { do: 'code'; who: number; value: number }
  | { do: 'slot'; who: number; slot: bigint; value: bigint }
  | { do: 'checkpoint' | 'commit' | 'revert' | 'transaction' | 'block' }

const who = fc.nat(2)
const small = fc.bigInt({ min: 0n, max: 3n })
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ do: fc.constantFrom('balance' as const, 'nonce' as const), who, value: small }),
  fc.record({ do: fc.constant('code' as const), who, value: fc.nat(2) }),
  fc.record({ do: fc.constant('slot' as const), who, slot: small, value: small }),
  fc.record({
    do: fc.constantFrom(
      'checkpoint' as const,
      'commit' as const,
      'revert' as const,
      'transaction' as const,
      'block' as const,
    ),
  }),
)

/** The same by copying everything at each checkpoint. */
class NaiveState {
  now: Record<string, bigint> = {}
  stack: Record<string, bigint>[] = []
  transactionStart: Record<string, bigint> = {}
  get(key: string): bigint {
    return this.now[key] ?? 0n
  }
}

function codeOf(value: number): Uint8Array {
  return new Uint8Array(value).fill(value)
}

function compare(state: JournaledState, naive: NaiveState): void {
  for (const [i, address] of addresses.entries()) {
    assert.equal(state.getBalance(address), naive.get(`balance ${i}`))
    assert.equal(state.getNonce(address), naive.get(`nonce ${i}`))
    assert.deepEqual(state.getCode(address), codeOf(Number(naive.get(`code ${i}`))))
    for (let slot = 0n; slot < 4n; slot++) {
      assert.equal(state.getStorage(address, slot), naive.get(`slot ${i} ${slot}`))
      assert.equal(state.getOriginalStorage(address, slot), naive.transactionStart[`slot ${i} ${slot}`] ?? 0n)
    }
  }
}

function perform(a: Action, state: JournaledState, naive: NaiveState, endBlock: () => void): void {
  switch (a.do) {
    case 'balance':
      state.setBalance(addresses[a.who]!, a.value)
      naive.now[`balance ${a.who}`] = a.value
      break
    case 'nonce':
      state.setNonce(addresses[a.who]!, a.value)
      naive.now[`nonce ${a.who}`] = a.value
      break
    case 'code':
      state.setCode(addresses[a.who]!, codeOf(a.value))
      naive.now[`code ${a.who}`] = BigInt(a.value)
      break
    case 'slot':
      state.setStorage(addresses[a.who]!, a.slot, a.value)
      naive.now[`slot ${a.who} ${a.slot}`] = a.value
      break
    case 'checkpoint':
      state.checkpoint()
      naive.stack.push({ ...naive.now })
      break
    case 'commit':
      if (naive.stack.pop()) state.commit()
      break
    case 'revert': {
      const before = naive.stack.pop()
      if (!before) break
      state.revert()
      naive.now = before
      break
    }
    default:
      if (naive.stack.length > 0) break
      if (a.do === 'block') endBlock()
      state.beginTransaction()
      naive.transactionStart = { ...naive.now }
  }
}

describe('the journaled state', () => {
  it('does what copying everything at each checkpoint would, over blocks and with next to no memory', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), fc.boolean(), (actions, isForgetful) => {
        const store = new MemoryLedgerStore()
        const trie = new StateTrie(readerOf(store))
        const state = new JournaledState(store, isForgetful ? { cachedAccounts: 1, cachedSlots: 1 } : {})
        const naive = new NaiveState()
        state.beginTransaction()
        for (const a of actions) {
          perform(a, state, naive, () => {
            // Empty accounts do not exist, so neither do their slots: an account with slots needs a nonce here.
            for (const [i, address] of addresses.entries()) {
              if (!state.isEmpty(address)) continue
              state.setNonce(address, 1n)
              naive.now[`nonce ${i}`] = 1n
            }
            const { writes, storageRoots } = trie.apply(state.writeSet())
            store.write(writes)
            state.endBlock(storageRoots)
          })
          compare(state, naive)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('writes nothing for what was changed and changed back', () => {
    const state = new JournaledState(new MemoryLedgerStore())
    const address = addresses[0]!
    state.setBalance(address, 5n)
    state.setBalance(address, 0n)
    state.setStorage(address, 1n, 1n)
    state.setStorage(address, 1n, 0n)
    state.checkpoint()
    state.setNonce(address, 9n)
    state.revert()
    assert.deepEqual(state.writeSet(), [])
  })

  it('takes addresses in any case', () => {
    const state = new JournaledState(new MemoryLedgerStore())
    state.setBalance(`0x${'AB'.repeat(20)}`, 1n)
    assert.equal(state.getBalance(`0x${'aB'.repeat(20)}`), 1n)
  })

  it('stops at amounts that cannot be', () => {
    const state = new JournaledState(new MemoryLedgerStore())
    const address = addresses[0]!
    assert.throws(() => state.setBalance(address, -1n), /out of range/)
    assert.throws(() => state.setBalance(address, 1n << 256n), /out of range/)
    assert.throws(() => state.setNonce(address, 1n << 64n), /out of range/)
    assert.throws(() => state.setStorage(address, -1n, 1n), /out of range/)
    assert.throws(() => state.setStorage(address, 1n, 1n << 256n), /out of range/)
    assert.throws(() => state.getBalance('0x12'), /not an address/)
  })

  it('insists that checkpoints are closed', () => {
    const state = new JournaledState(new MemoryLedgerStore())
    assert.throws(() => state.commit(), /without a checkpoint/)
    assert.throws(() => state.revert(), /without a checkpoint/)
    state.checkpoint()
    assert.throws(() => state.writeSet(), /no checkpoint open/)
    assert.throws(() => state.beginTransaction(), /no checkpoint open/)
  })

  it('stops when code is lost', () => {
    const store = new MemoryLedgerStore()
    const state = new JournaledState(store)
    state.setCode(addresses[0]!, Uint8Array.of(1))
    const { writes, storageRoots } = new StateTrie(readerOf(store)).apply(state.writeSet())
    store.write(writes.filter(({ table }) => table !== 'code'))
    state.endBlock(storageRoots)
    assert.throws(() => new JournaledState(store).getCode(addresses[0]!), /code .* is lost/)
  })
})
