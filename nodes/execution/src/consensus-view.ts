import { decodeCertificate } from '@cumulus/certificate'
import type { CommitteeInfo, ConsensusView } from '@cumulus/rpc'
import type { CertificateStore } from './certificate-store.ts'
import { coinKeyOf, committeeOf } from './genesis-committee.ts'
import type { GenesisFile } from './genesis-file.ts'

/** What RPC shows of the committee of a genesis and of its certificates; undefined if one validator orders alone. */
export function consensusView(
  genesis: GenesisFile,
  certificates: Pick<CertificateStore, 'atOrAbove'>,
  status: () => object | Promise<object>,
): ConsensusView | undefined {
  const committee = committeeOf(genesis)
  if (!committee) return undefined
  const publicKey = coinKeyOf(genesis)?.publicKey
  const info: CommitteeInfo = { committee, coin: publicKey ? { mode: 'dealt', publicKey } : { mode: 'public' } }
  return {
    era: committee.era,
    committee: (era) => (era === committee.era ? info : undefined),
    certificateFor(number) {
      const found = certificates.atOrAbove(number)
      return found && decodeCertificate(found.certificate)
    },
    status,
  }
}
