import { parentPort, workerData } from 'node:worker_threads'
import { coinMessage } from '@cumulus/certificate'
import { BlsKey, combine, type SharedKey, type SignatureShare, verifyBls } from '@cumulus/threshold'

/** What the thread is started with. */
export interface CoinWorkerData {
  readonly chainId: number
  readonly era: number
  readonly key: SharedKey
  readonly share: Uint8Array | null
}

export type CoinQuestion = { readonly id: number; readonly round: number } & (
  | { readonly kind: 'share' }
  | { readonly kind: 'combine'; readonly shares: readonly SignatureShare[] }
  | { readonly kind: 'verify'; readonly value: Uint8Array }
)

export type CoinAnswer = { readonly id: number } & (
  | { readonly kind: 'share'; readonly share: Uint8Array | null }
  | { readonly kind: 'combined'; readonly value: Uint8Array | undefined; readonly badShares: readonly number[] }
  | { readonly kind: 'verified'; readonly isRight: boolean }
  | { readonly kind: 'failed'; readonly message: string }
)

const { chainId, era, key, share } = workerData as CoinWorkerData
const secret = share && BlsKey.fromSecret(share)

parentPort!.on('message', (question: CoinQuestion | 'stop') => {
  if (question === 'stop') return parentPort!.close()
  parentPort!.postMessage(answer(question))
})

function answer(question: CoinQuestion): CoinAnswer {
  const { id, round } = question
  const message = coinMessage({ chainId, era, round })
  try {
    if (question.kind === 'share') return { id, kind: 'share', share: secret?.sign(message) ?? null }
    if (question.kind === 'verify') {
      return { id, kind: 'verified', isRight: verifyBls(question.value, message, key.publicKey) }
    }
    const { signature, badShares } = combine(key, message, question.shares)
    return { id, kind: 'combined', value: signature, badShares }
  } catch (error) {
    return { id, kind: 'failed', message: (error as Error).message }
  }
}
