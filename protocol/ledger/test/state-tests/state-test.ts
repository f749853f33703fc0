import { hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import { minimal } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import { executeTransaction, judgeTransaction } from '../../src/chain/execute-transaction.ts'
import { decodeTransaction, encodeRlp, MemoryLedgerStore, type Transaction } from '../../src/index.ts'
import { JournaledState } from '../../src/state/journaled-state.ts'
import { readerOf } from '../../src/state/state-reader.ts'
import { StateTrie } from '../../src/trie/state-trie.ts'
import { EthereumVm } from '../../src/vm/ethereum-vm.ts'
import type { Log, VmBlock } from '../../src/vm/vm.ts'
import { knownDifference } from './known-differences.ts'

/** A file of the official GeneralStateTests: names to cases. Numbers are hex with 0x. */
export type StateTestFile = Readonly<Record<string, StateTestCase>>

export interface StateTestCase {
  readonly env: Readonly<Record<string, string>>
  readonly pre: Readonly<Record<Address, StateTestAccount>>
  readonly post: Readonly<Record<string, readonly StateTestPost[]>>
  readonly transaction: Readonly<Record<string, unknown>>
  readonly config?: { readonly chainid?: string }
}

interface StateTestAccount {
  readonly balance: string
  readonly nonce: string
  readonly code: string
  readonly storage: Readonly<Record<string, string>>
}

export interface StateTestPost {
  readonly hash: string
  readonly logs: string
  readonly txbytes: string
  readonly indexes: { readonly data: number; readonly gas: number; readonly value: number }
  /** The transaction must be refused, and the state stay as it was. */
  readonly expectException?: string
}

export interface StateTestOutcome {
  readonly name: string
  readonly verdict: 'passed' | 'failed' | 'skipped'
  /** What differed, or why it does not apply here. */
  readonly detail: string
}

/**
 * Runs every case that a file has for one fork: state before, one transaction, then root and logs.
 *
 * @param forks the first one that a case knows is run
 */
export async function* runStateTests(file: StateTestFile, forks: readonly string[]): AsyncIterable<StateTestOutcome> {
  for (const [title, test] of Object.entries(file)) {
    const fork = forks.find((name) => test.post[name] !== undefined)
    if (fork === undefined) continue
    for (const post of test.post[fork]!) {
      const { data, gas, value } = post.indexes
      const name = `${title} ${fork} data ${data} gas ${gas} value ${value}`
      const difference = knownDifference(name, test, post)
      if (difference) yield { name, verdict: 'skipped', detail: difference }
      else yield { name, ...(await runCase(test, post)) }
    }
  }
}

async function runCase(test: StateTestCase, post: StateTestPost): Promise<Omit<StateTestOutcome, 'name'>> {
  const chainId = Number(test.config?.chainid ?? 1)
  const store = new MemoryLedgerStore()
  const trie = new StateTrie(readerOf(store))
  const state = new JournaledState(store)
  const settle = () => {
    const { root, writes, storageRoots } = trie.apply(state.writeSet())
    store.write(writes)
    state.endBlock(storageRoots)
    return root
  }
  for (const [address, { balance, nonce, code, storage }] of Object.entries(test.pre)) {
    const at = address as Address
    state.setBalance(at, BigInt(balance))
    state.setNonce(at, BigInt(nonce))
    state.setCode(at, hexToBytes(code))
    for (const [slot, value] of Object.entries(storage)) state.setStorage(at, BigInt(slot), BigInt(value))
  }
  const before = settle()

  const noModules = {
    has: () => false,
    dispatch: () => {
      throw new Error('there are no modules')
    },
  }
  const vm = new EthereumVm(state, noModules, chainId)
  const block = blockOf(test.env, chainId)
  const tx = decode(post.txbytes, chainId)
  const refusal = tx === undefined ? 'MALFORMED' : judgeTransaction(tx, state, block, block.gasLimit)
  const logs: Log[] = []
  if (tx !== undefined && refusal === undefined) {
    logs.push(...(await executeTransaction(tx, state, vm, block, 0n)).receipt.logs)
  }
  const root = settle()
  const failed = (detail: string) => ({ verdict: 'failed' as const, detail })
  if (post.expectException !== undefined && refusal === undefined) {
    return failed(`was taken; expected ${post.expectException}`)
  }
  if (post.expectException === undefined && refusal !== undefined) return failed(`was refused: ${refusal}`)
  if (refusal !== undefined && before.toHex() !== root.toHex()) return failed('was refused, and changed the state')
  if (`0x${root.toHex()}` !== post.hash) return failed(`root 0x${root.toHex()}, expected ${post.hash}`)
  const logsHash = keccak256(encodeRlp(logs.map(({ address, topics, data }) => [hexToBytes(address), topics, data])))
  if (`0x${logsHash.toHex()}` !== post.logs) return failed(`logs 0x${logsHash.toHex()}, expected ${post.logs}`)
  return { verdict: 'passed', detail: refusal ?? '' }
}

/** Undefined if it is no transaction. One for any chain (before EIP-155) is taken as one for this chain. */
function decode(txbytes: string, chainId: number): Transaction | undefined {
  try {
    const tx = decodeTransaction(hexToBytes(txbytes))
    if (tx.chainId !== undefined) return tx
    return Object.defineProperty(Object.create(tx), 'chainId', { value: BigInt(chainId) })
  } catch {
    return undefined
  }
}

function blockOf(env: StateTestCase['env'], chainId: number): VmBlock {
  const random = env['currentRandom'] ?? env['currentDifficulty'] ?? '0x0'
  return {
    number: BigInt(env['currentNumber']!),
    timestamp: BigInt(env['currentTimestamp']!),
    coinbase: env['currentCoinbase']!.toLowerCase() as Address,
    gasLimit: BigInt(env['currentGasLimit']!),
    baseFee: BigInt(env['currentBaseFee'] ?? '0x0'),
    prevRandao: hexToBytes(BigInt(random).toString(16).padStart(64, '0')),
    chainId,
    params: minimal,
    epoch: 0,
    era: 0,
    // As all runners of this suite have it: there is no chain behind the block.
    blockHash: (number) => keccak256(new TextEncoder().encode(number.toString())),
  }
}
