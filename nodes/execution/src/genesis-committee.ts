import { hexToBytes } from '@cumulus/bytes'
import { type Committee, coinThresholdOf, committeeOfMembers } from '@cumulus/certificate'
import type { SharedKey } from '@cumulus/threshold'
import { type GenesisFile, paramsOf } from './genesis-file.ts'

/** There is one committee, that of the genesis, until eras change it. */
const GENESIS_ERA = 0

/** Who certifies from the start; undefined if one validator orders alone. */
export function committeeOf(genesis: GenesisFile): Committee | undefined {
  const { committee } = genesis
  return committee && committeeOfMembers(paramsOf(genesis).chainId, GENESIS_ERA, committee.members)
}

/** The key of the coin; undefined if the coin is public, or there is no committee. */
export function coinKeyOf(genesis: GenesisFile): SharedKey | undefined {
  const { committee } = genesis
  if (committee?.coin.mode !== 'dealt') return undefined
  const { publicKey, shareKeys } = committee.coin
  return {
    threshold: coinThresholdOf(committee.members.length),
    publicKey: hexToBytes(publicKey),
    shareKeys: shareKeys.map(hexToBytes),
  }
}
