import { concatBytes, utf8Encode } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'

/** Rows of the table `meta`. */
export const META = {
  head: utf8Encode('head'),
  genesis: utf8Encode('genesis'),
  genesisInputs: utf8Encode('genesis-inputs'),
  mark: utf8Encode('mark'),
} as const

/** Big-endian, so that keys sort as their numbers do. */
export function u64Key(value: bigint): Uint8Array {
  const key = new Uint8Array(8)
  new DataView(key.buffer).setBigUint64(0, value)
  return key
}

/** Stands in for a transaction hash where a log comes from a module hook. */
export function hookTransactionHash(blockNumber: bigint): Uint8Array {
  return keccak256(concatBytes(utf8Encode('cumulus/hook/1'), u64Key(blockNumber)))
}
