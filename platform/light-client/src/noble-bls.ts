import type { BlsVerifier } from '@cumulus/certificate'
import { bls12_381 } from '@noble/curves/bls12-381.js'

/** The ciphersuite of votes: draft-irtf-cfrg-bls-signature with proofs of possession. */
const DOMAIN = 'BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_'
const scheme = bls12_381.longSignatures

/** BLS in JavaScript, for wherever there is no native one. About 20 ms a certificate. */
export const nobleBls: BlsVerifier = {
  fastAggregateVerify(signature, message, publicKeys) {
    if (publicKeys.length === 0 || signature.length !== 96) return false
    try {
      const sum = bls12_381.G2.Point.fromBytes(signature)
      const keys = publicKeys.map((key) => bls12_381.G1.Point.fromBytes(key))
      for (const point of [sum, ...keys]) {
        point.assertValidity() // also: is in the subgroup
        if (point.is0()) return false
      }
      return scheme.verify(sum, scheme.hash(message, DOMAIN), scheme.aggregatePublicKeys(keys))
    } catch {
      return false // no point
    }
  },
}
