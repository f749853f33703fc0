import { bytesToHex, hexToBytes } from '@cumulus/bytes'
import type { GenesisFile } from '@cumulus/execution'
import { PeerIdentity, parseAddress } from '@cumulus/network'
import { ConsensusError } from './consensus/consensus-error.ts'
import type { CommitteeMember } from './consensus/r2s-orderer.ts'

/** The place of this process in the committee that a genesis names. */
export interface Seat {
  readonly index: number
  readonly identity: PeerIdentity
  readonly members: readonly CommitteeMember[]
}

/**
 * The seat that the key in `folder` (`peer.key`) has; undefined if the genesis names no committee.
 *
 * @throws ConsensusError NOT_A_MEMBER, NetworkError IDENTITY
 */
export async function findSeat(genesis: GenesisFile, folder: string): Promise<Seat | undefined> {
  const { committee } = genesis
  if (!committee) return undefined
  const identity = await PeerIdentity.loadOrCreate(folder)
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
  return { index, identity, members }
}
