import { equalBytes } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'
import { LedgerError } from '../ledger-error.ts'
import { JournaledState } from '../state/journaled-state.ts'
import type { LedgerWrite } from '../state/ledger-store.ts'
import type { StateReader } from '../state/state-reader.ts'
import { StateTrie } from '../trie/state-trie.ts'
import { EMPTY_ROOT } from '../trie/trie.ts'
import { EthereumVm } from '../vm/ethereum-vm.ts'
import type { VmBlock } from '../vm/vm.ts'
import { blockContext } from './block-context.ts'
import { blockWrites } from './block-store.ts'
import { BLOOM_BYTES } from './bloom.ts'
import { buildGenesis, DEFAULT_BASE_FEE, GENESIS_PARENT, genesisDigest, genesisInputsDigest } from './genesis.ts'
import { type HashedHeader, hashHeader, NO_CONSENSUS_ROOT } from './header.ts'
import { META } from './keys.ts'
import type { LedgerInit } from './ledger-init.ts'

const ZERO_ADDRESS: Address = '0x0000000000000000000000000000000000000000'

/**
 * Begins the chain in an empty store, or sees to it that the chain there began so. Making block 0 takes tens of ms, for
 * constructors of contracts run; a store that was begun with just these inputs is known by their digest.
 *
 * @returns hash of block 0
 * @throws LedgerError OTHER_GENESIS, BAD_GENESIS
 */
export async function openGenesis(init: Pick<LedgerInit, 'params' | 'genesis' | 'modules' | 'store'>) {
  const { params, genesis, modules, store } = init
  const stored = store.get('meta', META.genesis)?.slice()
  const inputs = genesisInputsDigest(params, genesis, modules.addresses)
  const known = store.get('meta', META.genesisInputs)
  if (stored && known && equalBytes(known, inputs)) return stored
  const { header, writes } = await makeGenesis(init)
  const note: LedgerWrite = { table: 'meta', key: META.genesisInputs, value: inputs }
  if (stored === undefined) {
    store.write([...writes, note])
  } else if (equalBytes(stored, header.hash)) {
    // Begun by an older version, or with a snapshot, or with other inputs that give the same.
    store.write([note])
  } else {
    throw new LedgerError('OTHER_GENESIS', 'the store holds a chain with another genesis', {
      stored: stored.toHex(),
      expected: header.hash.toHex(),
    })
  }
  return header.hash
}

/** Block 0 and everything it writes. Deterministic: the same for everybody with the same parameters and allocation. */
async function makeGenesis({
  params,
  genesis,
  modules,
}: Pick<LedgerInit, 'params' | 'genesis' | 'modules'>): Promise<{ header: HashedHeader; writes: LedgerWrite[] }> {
  if (!Number.isSafeInteger(genesis.timestampMs) || genesis.timestampMs < 0) {
    throw new LedgerError('BAD_GENESIS', `${genesis.timestampMs} is no time in ms`)
  }
  const nowhere: StateReader = { get: () => undefined, node: () => undefined }
  const state = new JournaledState(nowhere)
  const prevRandao = genesisDigest(params, genesis)
  const start = { number: 0n, timestampMs: genesis.timestampMs, prevRandao }
  const block: VmBlock = {
    ...blockContext(params, genesis.timestampMs, start),
    coinbase: ZERO_ADDRESS,
    gasLimit: params.blockGasLimit,
    baseFee: 0n,
    blockHash: () => new Uint8Array(32),
  }
  await buildGenesis(state, genesis, modules, new EthereumVm(state, modules, params.chainId), block)
  const applied = new StateTrie(nowhere).apply(state.writeSet())
  const header = hashHeader({
    ...start,
    parentHash: GENESIS_PARENT,
    coinbase: ZERO_ADDRESS,
    stateRoot: applied.root,
    transactionsRoot: EMPTY_ROOT,
    receiptsRoot: EMPTY_ROOT,
    logsBloom: new Uint8Array(BLOOM_BYTES),
    gasLimit: params.blockGasLimit,
    gasUsed: 0n,
    baseFee: genesis.baseFee ?? DEFAULT_BASE_FEE,
    consensusRoot: NO_CONSENSUS_ROOT,
  })
  const meta: LedgerWrite = { table: 'meta', key: META.genesis, value: header.hash }
  return { header, writes: [...applied.writes, ...blockWrites(header, [], []), meta] }
}
