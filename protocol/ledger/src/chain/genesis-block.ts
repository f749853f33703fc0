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
import { buildGenesis, DEFAULT_BASE_FEE, GENESIS_PARENT, genesisDigest } from './genesis.ts'
import { type HashedHeader, hashHeader, NO_CONSENSUS_ROOT } from './header.ts'
import { META } from './keys.ts'
import type { LedgerInit } from './ledger-init.ts'

const ZERO_ADDRESS: Address = '0x0000000000000000000000000000000000000000'

/** Block 0 and everything it writes. Deterministic: the same for everybody with the same parameters and allocation. */
export async function makeGenesis({
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
