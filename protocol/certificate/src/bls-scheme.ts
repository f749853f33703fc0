/**
 * BLS signatures with keys of 48 bytes in G1 and signatures of 96 in G2, proof-of-possession scheme. Given by the caller, so that
 * the rules run wherever there is an implementation: `@cumulus/threshold` in nodes, JavaScript in browsers.
 */
export interface BlsVerifier {
  /** Whether `signature` is the sum of signatures of `message` by all keys. Malformed points are false. */
  fastAggregateVerify(signature: Uint8Array, message: Uint8Array, publicKeys: readonly Uint8Array[]): boolean
}

/** What who collects votes needs besides. */
export interface BlsScheme extends BlsVerifier {
  /** Malformed points are false. */
  verifyBls(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean
  /** @throws if one of them is no point */
  aggregateSignatures(signatures: readonly Uint8Array[]): Uint8Array
}
