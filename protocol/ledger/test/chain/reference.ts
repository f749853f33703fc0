import assert from 'node:assert/strict'
import { hexToBytes, isZero } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import type { Address } from '@cumulus/types'
import { createBlock } from '@ethereumjs/block'
import { createEVM } from '@ethereumjs/evm'
import { createMPT } from '@ethereumjs/mpt'
import { MerkleStateManager } from '@ethereumjs/statemanager'
import { createTxFromRLP, type TypedTransaction } from '@ethereumjs/tx'
import { Account, Address as EvmAddress } from '@ethereumjs/util'
import { createVM, encodeReceipt, runTx, type VM } from '@ethereumjs/vm'
import { bloomOf } from '../../src/chain/bloom.ts'
import { HISTORY_CONTRACT, ROOTS_CONTRACT, SYSTEM_CONTRACTS } from '../../src/chain/system-contracts.ts'
import { consensusReceipt, type ExecutedBlock, type GenesisAccount, type HashedHeader } from '../../src/index.ts'
import { encodeRlp, wordToBytes } from '../../src/trie/rlp.ts'
import { customPrecompiles } from '../../src/vm/module-evm.ts'
import { common, MODULE } from './fixture.ts'

/** `@ethereumjs/vm` with its own state manager and trie. It knows no modules: the account of the test's is plain. */
export async function openReference(alloc: Readonly<Record<string, GenesisAccount>>): Promise<VM> {
  const stateManager = new MerkleStateManager({ common, trie: await createMPT({ useKeyHashing: true }) })
  const evm = await createEVM({ common, stateManager, customPrecompiles })
  const vm = await createVM({ common, stateManager, evm })
  const put = async (address: string, { balance, nonce, code, storage }: GenesisAccount) => {
    const at = new EvmAddress(hexToBytes(address))
    await stateManager.putAccount(at, new Account(nonce ?? (code ? 1n : 0n), balance ?? 0n))
    if (code) await stateManager.putCode(at, code)
    for (const { slot, value } of storage ?? []) {
      await stateManager.putStorage(at, wordToBytes(slot), hexToBytes(value.toString(16).padStart(64, '0')))
    }
  }
  for (const { address, code } of SYSTEM_CONTRACTS) await put(address, { code })
  for (const [address, account] of Object.entries(alloc)) await put(address, account)
  await put(MODULE, { code: Uint8Array.of(0xfe), storage: [{ slot: 1n, value: 7n }] })
  await stateManager.flush()
  return vm
}

/** The caller of EIP-2935 and EIP-4788. Here their contracts run; ours are written to directly. */
const SYSTEM = new EvmAddress(hexToBytes(`${'ff'.repeat(19)}fe`))

/** What the block did before its first transaction; returns it as the reference sees it. */
export async function beginReferenceBlock(vm: VM, header: HashedHeader) {
  const block = createBlock(
    {
      header: {
        number: header.number,
        coinbase: new EvmAddress(hexToBytes(header.coinbase)),
        timestamp: header.timestamp,
        gasLimit: header.gasLimit,
        baseFeePerGas: header.baseFee,
        mixHash: header.prevRandao,
      },
    },
    { common, skipConsensusFormatValidation: true },
  )
  const call = (to: Address, data: Uint8Array) =>
    vm.evm.runCall({ caller: SYSTEM, to: new EvmAddress(hexToBytes(to)), data, block, skipNonceIncrement: true })
  await call(HISTORY_CONTRACT.address, header.parentHash)
  if (!isZero(header.consensusRoot)) await call(ROOTS_CONTRACT.address, header.consensusRoot)
  await vm.evm.journal.cleanup()
  return block
}

export type ReferenceVm = VM

/** As the reference has them, senders recovered. */
export function referenceTransactions(raws: readonly Uint8Array[]): TypedTransaction[] {
  const transactions = raws.map((raw) => createTxFromRLP(raw, { common }))
  for (const tx of transactions) tx.getSenderAddress()
  return transactions
}

/** Runs the transactions of a block on the reference: the state root is all it makes, no receipts, header or disk. */
export async function runReference(
  vm: VM,
  header: HashedHeader,
  transactions: readonly TypedTransaction[],
): Promise<Uint8Array> {
  const block = await beginReferenceBlock(vm, header)
  for (const tx of transactions) await runTx(vm, { tx, block })
  return vm.stateManager.getStateRoot()
}

/** A storage trie of the reference, in memory. */
export async function openReferenceTrie() {
  const trie = await createMPT()
  return {
    put: (slot: bigint, value: number) => trie.put(keccak256(wordToBytes(slot)), encodeRlp(value)),
    root: () => trie.root(),
  }
}

/** Runs the transactions of an executed block on the reference and compares everything there is to compare. */
export async function compare(vm: VM, executed: ExecutedBlock): Promise<void> {
  const { header } = executed
  const block = await beginReferenceBlock(vm, header)
  let cumulative = 0n
  for (const [i, tx] of executed.transactions.entries()) {
    const mine = executed.receipts[i]!
    const reference = createTxFromRLP(tx.raw, { common })
    assert.equal(tx.sender, reference.getSenderAddress().toString())
    assert.equal(tx.hash.toHex(), Buffer.from(reference.hash()).toString('hex'))
    const result = await runTx(vm, { tx: reference, block, blockGasUsed: cumulative })
    cumulative += result.totalGasSpent
    assert.equal(mine.gasUsed, result.totalGasSpent, `gas of ${i}`)
    assert.equal(
      consensusReceipt(mine).toHex(),
      Buffer.from(encodeReceipt(result.receipt, reference.type)).toString('hex'),
      `receipt of ${i}`,
    )
    assert.equal(bloomOf(mine.logs).toHex(), Buffer.from(result.bloom.bitvector).toString('hex'))
    if (mine.ok) assert.equal(mine.contractAddress, result.createdAddress?.toString())
  }
  const root = await vm.stateManager.getStateRoot()
  assert.equal(header.stateRoot.toHex(), Buffer.from(root).toString('hex'), `state root of block ${header.number}`)
}
