import { createHash } from 'node:crypto'
import { ByteWriter, hexToBytes, utf8Encode } from '@cumulus/bytes'
import type { Address } from '@cumulus/types'

/** What an enclave binds into its quote: who it is to the chain, and when. */
export interface ReportSubject {
  readonly chainId: number
  /** Account that registers. */
  readonly account: Address
  /** Ed25519 key of the process to its peers, 32 bytes. */
  readonly peerKey: Uint8Array
  /** Key and proof of knowledge, 288 bytes. */
  readonly taggerKey: Uint8Array
  /** A recent chain block: the quote is no older. */
  readonly nonceBlock: bigint
  /** 32 bytes. */
  readonly nonceHash: Uint8Array
}

const DOMAIN = utf8Encode('cumulus/tee/report-data/1')

/**
 * The 64 bytes of report data: SHA-512 over domain ‖ chain id u64 ‖ account 20 ‖ peer key 32 ‖ length u32 and tagger key ‖
 * number u64 and hash 32 of the nonce block, little-endian.
 */
export function reportData(subject: ReportSubject): Uint8Array {
  const message = new ByteWriter(512)
    .bytes(DOMAIN)
    .u64(BigInt(subject.chainId))
    .bytes(hexToBytes(subject.account))
    .bytes(subject.peerKey)
    .prefixed(subject.taggerKey)
    .u64(subject.nonceBlock)
    .bytes(subject.nonceHash)
    .finish()
  return new Uint8Array(createHash('sha512').update(message).digest())
}
