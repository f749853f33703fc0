import { parseKey, verifyBls } from './bls.ts'
import type { SharedKey } from './deal.ts'
import { sumOfSignatures } from './group-sum.ts'
import { weightsAt } from './lagrange.ts'
import { blst } from './native.ts'
import { ThresholdError } from './threshold-error.ts'

/** What one holder contributes: `BlsKey.fromSecret(share).sign(message)`. */
export interface SignatureShare {
  /** Whose, from 0. */
  readonly index: number
  /** 96 bytes. */
  readonly signature: Uint8Array
}

export interface Combined {
  /** 96 bytes: the signature of the shared key, the same from whichever shares. Absent if fewer than t are right. */
  readonly signature?: Uint8Array
  /** Holders whose shares were looked at and are wrong. Empty as long as nobody cheats. */
  readonly badShares: readonly number[]
}

/** Whether a share is its holder's for `message`. 0.8 ms. */
export function verifyShare(key: SharedKey, message: Uint8Array, { index, signature }: SignatureShare): boolean {
  const shareKey = key.shareKeys[index]
  return shareKey !== undefined && verifyBls(signature, message, shareKey)
}

/**
 * The signature of the shared key from t shares. Sums first and verifies the sum; only if it is wrong are shares verified one by one,
 * the wrong ones named, and the right ones summed, if they suffice. About 1.5 ms for 7 of 11 if nobody cheats.
 *
 * @param shares at least t, one of each holder
 * @throws ThresholdError BAD_COUNT; INCONSISTENT_KEY if right shares make a wrong sum
 */
export function combine(key: SharedKey, message: Uint8Array, shares: readonly SignatureShare[]): Combined {
  const { threshold, shareKeys } = key
  const seen = new Set<number>()
  for (const { index } of shares) {
    if (shareKeys[index] === undefined || seen.has(index)) {
      throw new ThresholdError('BAD_COUNT', `share ${index} is twice there, or of nobody`)
    }
    seen.add(index)
  }
  if (shares.length < threshold) {
    throw new ThresholdError('BAD_COUNT', `${shares.length} shares are fewer than ${threshold}`)
  }
  const signature = tryCombine(key, message, shares.slice(0, threshold))
  if (signature) return { signature, badShares: [] }

  const good: SignatureShare[] = []
  const badShares: number[] = []
  for (const share of shares) {
    if (verifyShare(key, message, share)) good.push(share)
    else badShares.push(share.index)
  }
  if (good.length < threshold) return { badShares }
  const second = tryCombine(key, message, good.slice(0, threshold))
  if (!second) throw new ThresholdError('INCONSISTENT_KEY', 'right shares do not make the signature of the key')
  return { signature: second, badShares }
}

function tryCombine(key: SharedKey, message: Uint8Array, shares: readonly SignatureShare[]): Uint8Array | undefined {
  const indices = shares.map(({ index }) => index)
  try {
    const sum = sumOfSignatures(
      shares.map(({ signature }) => signature),
      weightsAt(0, indices, key.shareKeys.length),
    )
    return sum && blst().verify(message, parseKey(key.publicKey), sum) ? sum.toBytes() : undefined
  } catch (error) {
    // A share that is no point: who sent it is found below.
    if (error instanceof ThresholdError && error.code !== 'NO_NATIVE_BUILD') return undefined
    throw error
  }
}
