import { isZero } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'
import type { JournaledState } from '../state/journaled-state.ts'
import { bytesToInteger } from '../trie/rlp.ts'
import type { BlockHeader } from './header.ts'

/** Answers with the hash of any of the last 8,191 blocks (EIP-2935). */
export const HISTORY_CONTRACT = {
  address: '0x0000f90827f1c53a10cb7a02335b175320002935' as Address,
  code: Uint8Array.fromHex(
    '3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500',
  ),
}

/** Answers with the consensus root of a block by its time in seconds, where EIP-4788 has the root of the beacon chain. */
export const ROOTS_CONTRACT = {
  address: '0x000f3df6d732807ef1319fb7b8bb8522d0beac02' as Address,
  code: Uint8Array.fromHex(
    '3373fffffffffffffffffffffffffffffffffffffffe14604d57602036146024575f5ffd5b5f35801560495762001fff810690815414603c575f5ffd5b62001fff01545f5260205ff35b5f5ffd5b62001fff42064281555f359062001fff015500',
  ),
}

export const SYSTEM_CONTRACTS = [HISTORY_CONTRACT, ROOTS_CONTRACT]

/** Blocks, and seconds, that the contracts remember. */
const WINDOW = 8191n

/**
 * What happens in a block before its first transaction. Both contracts are written directly, to the slots where a call
 * from the system's address would have them write.
 *
 * A block that no committee ordered has no consensus root, and leaves the second contract alone. Of blocks within one
 * second the last one is remembered.
 */
export function beginBlock(
  state: JournaledState,
  {
    number,
    timestamp,
    parentHash,
    consensusRoot,
  }: Pick<BlockHeader, 'number' | 'parentHash' | 'consensusRoot'> & {
    timestamp: bigint
  },
): void {
  state.setStorage(HISTORY_CONTRACT.address, (number - 1n) % WINDOW, bytesToInteger(parentHash))
  if (isZero(consensusRoot)) return
  const slot = timestamp % WINDOW
  state.setStorage(ROOTS_CONTRACT.address, slot, timestamp)
  state.setStorage(ROOTS_CONTRACT.address, slot + WINDOW, bytesToInteger(consensusRoot))
}
