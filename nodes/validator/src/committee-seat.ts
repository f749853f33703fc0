import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import { type Committee, createCommittee } from '@cumulus/certificate'
import { type GenesisFile, paramsOf } from '@cumulus/execution'
import { PeerIdentity, parseAddress } from '@cumulus/network'
import { BlsKey } from '@cumulus/threshold'
import { ConsensusError } from './consensus/consensus-error.ts'
import type { CommitteeMember } from './consensus/r2s-orderer-init.ts'
import { readSecret } from './member-keys.ts'

/** The place of this process in the committee that a genesis names. */
export interface Seat {
  readonly index: number
  readonly identity: PeerIdentity
  readonly members: readonly CommitteeMember[]
  readonly committee: Committee
  readonly blsKey: BlsKey
  /** Share of the coin's key; null where the coin is public. */
  readonly coinShare: Uint8Array | null
}

/** There is one committee, that of the genesis, until eras change it. */
const GENESIS_ERA = 0

/**
 * The seat that the keys in `folder` have (see `writeMemberKeys` of @cumulus/execution); undefined if the genesis names no committee.
 *
 * @throws ConsensusError NOT_A_MEMBER, BAD_KEY
 */
export async function findSeat(genesis: GenesisFile, folder: string): Promise<Seat | undefined> {
  const { committee } = genesis
  if (!committee) return undefined
  const identity = new PeerIdentity(await readSecret(folder, 'peer.key'))
  const peerKey = bytesToHex(identity.publicKey)
  const index = committee.members.findIndex((member) => member.peerKey === peerKey)
  if (index < 0) {
    throw new ConsensusError(
      'NOT_A_MEMBER',
      `the key of ${folder} is of no member of the committee: put peer.key of one there, or follow the chain with a full node`,
      { folder, peerKey },
    )
  }
  const members = committee.members.map(({ account, peerKey: key, address }) => ({
    account,
    peerKey: hexToBytes(key),
    address: parseAddress(address),
  }))
  const blsKey = BlsKey.fromSeed(await readSecret(folder, 'bls.key'))
  requireKey('bls.key', blsKey.publicKey, committee.members[index]!.blsKey)
  const { coin } = committee
  const coinShare = coin.mode === 'dealt' ? await readSecret(folder, 'coin.key') : null
  if (coin.mode === 'dealt') {
    requireKey('coin.key', BlsKey.fromSecret(coinShare!).publicKey, coin.shareKeys[index]!)
  }
  return { index, identity, members, committee: committeeOf(genesis, committee), blsKey, coinShare }
}

/** The committee as certificates know it. */
function committeeOf(genesis: GenesisFile, { members }: NonNullable<GenesisFile['committee']>): Committee {
  return createCommittee({
    chainId: paramsOf(genesis).chainId,
    era: GENESIS_ERA,
    members: members.map(({ account, peerKey, blsKey, address }) => ({
      account,
      peerKey: hexToBytes(peerKey),
      blsKey: hexToBytes(blsKey),
      address,
    })),
  })
}

function requireKey(file: string, own: Uint8Array, named: string): void {
  if (bytesToHex(own) === named) return
  throw new ConsensusError('BAD_KEY', `${file} is not the key that the genesis names for this member`, { file, named })
}
