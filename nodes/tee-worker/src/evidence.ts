import { readFile } from 'node:fs/promises'
import { gramineQuotes, type QuoteSource, reportData, tsmQuotes } from '@cumulus/tee'
import type { EvidenceSource } from './registration.ts'
import { TeeWorkerError } from './tee-worker-error.ts'
import type { AttestationKind, WorkerChain } from './worker-chain.ts'

/** Intel's statements about a platform, as JSON: 25 KB. */
const COLLATERAL_BYTES_MAX = 96 * 2 ** 10

export interface EvidenceInit {
  readonly kind: AttestationKind
  /** JSON with Intel's statements about this platform, kept fresh by the operator (`pccs` tools write it). */
  readonly collateralFile?: string
  /** Default: those of the platform. */
  readonly quotes?: QuoteSource
}

/** Makes evidence anew each time it is asked: quotes are bound to a block and must be young. */
export function evidenceSource(
  init: EvidenceInit,
  subject: {
    chain: Pick<WorkerChain, 'account' | 'latestBlock'>
    chainId: number
    peerKey: Uint8Array
    taggerKey: Uint8Array
  },
): EvidenceSource {
  const { chain, ...rest } = subject
  if (init.kind === 'simulated') {
    const empty = new Uint8Array(0)
    return async () => {
      const { number } = await chain.latestBlock()
      return { attestation: 'simulated', quote: empty, collateral: empty, nonceBlock: number }
    }
  }
  const { kind } = init
  const quotes = init.quotes ?? (kind === 'sgx' ? gramineQuotes() : tsmQuotes())
  return async () => {
    const { number, hash } = await chain.latestBlock()
    const data = reportData({ ...rest, account: chain.account, nonceBlock: number, nonceHash: hash })
    const quote = await quotes.quote(data)
    return { attestation: kind, quote, collateral: await collateralOf(init.collateralFile), nonceBlock: number }
  }
}

async function collateralOf(path: string | undefined): Promise<Uint8Array> {
  if (path === undefined) throw new TeeWorkerError('NO_QUOTE', 'a real attestation needs a collateral file')
  let bytes: Uint8Array
  try {
    bytes = new Uint8Array(await readFile(path))
  } catch (cause) {
    throw new TeeWorkerError('NO_QUOTE', `cannot read the collateral ${path}`, {}, { cause })
  }
  if (bytes.length > COLLATERAL_BYTES_MAX) {
    throw new TeeWorkerError('NO_QUOTE', `${path} is too long to be collateral`, { bytes: bytes.length })
  }
  return bytes
}
