import { ByteWriter, utf8Encode } from '@cumulus/bytes'
import { type Ed25519Key, verifyEd25519 } from '@cumulus/signature'
import type { Seat, StripeRef } from '@cumulus/types'

/** A miner's word that it holds its fragment of a stripe, durable. The chain counts these when a stripe is committed. */
export interface Receipt extends StripeRef {
  readonly seat: Seat
  /** Root of the descriptor that the fragment was checked against, 32 bytes. */
  readonly segmentRoot: Uint8Array
  /** Ed25519 by the miner's peer key over `receiptMessage`, 64 bytes. */
  readonly signature: Uint8Array
}

type Statement = Omit<Receipt, 'signature'>

const RECEIPT_DOMAIN = utf8Encode('cumulus/receipt/1')
const DELETION_DOMAIN = utf8Encode('cumulus/deletion/1')

/** Bytes under a receipt: domain ‖ chain id u64 ‖ group u32 ‖ stripe u32 ‖ seat u8 ‖ segment root 32, little-endian. */
export function receiptMessage(chainId: number, statement: Statement): Uint8Array {
  return message(RECEIPT_DOMAIN, chainId, statement)
}

/** Bytes under the miner's word that it has dropped its fragment. Laid out as `receiptMessage`. */
export function deletionMessage(chainId: number, statement: Statement): Uint8Array {
  return message(DELETION_DOMAIN, chainId, statement)
}

export function signReceipt(key: Ed25519Key, chainId: number, statement: Statement): Receipt {
  return { ...statement, signature: key.sign(receiptMessage(chainId, statement)) }
}

/** @param peerKey Ed25519 public key of the miner in that seat, 32 bytes */
export function verifyReceipt(receipt: Receipt, chainId: number, peerKey: Uint8Array): boolean {
  return verifyEd25519(receipt.signature, receiptMessage(chainId, receipt), peerKey)
}

function message(domain: Uint8Array, chainId: number, statement: Statement): Uint8Array {
  return new ByteWriter(80)
    .bytes(domain)
    .u64(BigInt(chainId))
    .u32(statement.group)
    .u32(statement.stripe)
    .u8(statement.seat)
    .bytes(statement.segmentRoot)
    .finish()
}
