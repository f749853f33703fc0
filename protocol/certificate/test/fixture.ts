import * as threshold from '@cumulus/threshold'
import {
  type BlsScheme,
  type Certificate,
  type Committee,
  createCommittee,
  type Vote,
  voteMessage,
} from '../src/index.ts'

export const bls: BlsScheme = threshold

export const keyOf = (member: number) => threshold.BlsKey.fromSeed(new Uint8Array(32).fill(member + 1))

export function committeeOfSize(size: number, init: { chainId?: number; era?: number } = {}): Committee {
  return createCommittee({
    chainId: init.chainId ?? 31_337,
    era: init.era ?? 0,
    members: Array.from({ length: size }, (_, index) => ({
      account: `0x${(index + 1).toString(16).padStart(40, '0')}`,
      peerKey: new Uint8Array(32).fill(index + 1),
      blsKey: keyOf(index).publicKey,
      address: `/ip4/127.0.0.1/tcp/${9100 + index}`,
    })),
  })
}

export const hashOf = (byte: number) => new Uint8Array(32).fill(byte)

export function voteOf(member: number, committee: Committee, height: bigint, headerHash = hashOf(7)): Vote {
  const { chainId, era } = committee
  const signature = keyOf(member).sign(voteMessage({ chainId, era, height, headerHash }))
  return { height, headerHash, signature }
}

export function certificateBy(
  signers: readonly number[],
  committee: Committee,
  height = 5n,
  hash = hashOf(7),
): Certificate {
  return {
    era: committee.era,
    height,
    headerHash: hash,
    signers: signers.reduce((mask, member) => mask | (1 << member), 0),
    signature: threshold.aggregateSignatures(
      signers.map((member) => voteOf(member, committee, height, hash).signature),
    ),
  }
}
