import { ByteWriter, equalBytes, hexToBytes, utf8Encode } from '@cumulus/bytes'
import { verifyEd25519 } from '@cumulus/signature'
import type { Address } from '@cumulus/types'
import { gasPrices, require } from '../framework/index.ts'

/** Rules that several modules share. */

export const ZERO_ADDRESS: Address = `0x${'0'.repeat(40)}`
export const ZERO_BYTES32: `0x${string}` = `0x${'0'.repeat(64)}`

/**
 * The timelock that carries out what the DAO has decided (`@cumulus/contracts`): the only caller that may change
 * parameters. On a chain without that contract nobody can be it.
 */
export const GOVERNANCE_ADDRESS: Address = '0x0000000000000000000000000000000000000d01'

/** Refuses everybody but governance. */
export function requireGovernance(c: { readonly caller: Address }): void {
  require(c.caller === GOVERNANCE_ADDRESS, 'only governance may do this')
}

/** All, where shares are whole numbers. */
export const BASIS_POINTS = 10_000n

/** Entries of one page of a list. Clients page on. */
export const PAGE_ENTRIES_MAX = 100

const REGISTER_DOMAIN = utf8Encode('cumulus/register/1')

/**
 * What a peer key signs to let an account register it as a miner or gateway: domain ‖ chain id u64 little-endian ‖
 * account 20 bytes. Without it, anybody could register a stranger's key.
 */
export function registrationMessage(chainId: number, account: Address): Uint8Array {
  return new ByteWriter(64).bytes(REGISTER_DOMAIN).u64(BigInt(chainId)).bytes(hexToBytes(account)).finish()
}

/** Refuses a peer key that did not sign for `account`. */
export function requirePeerSignature(
  c: { readonly block: { readonly chainId: number }; charge(gas: number): void },
  { account, peerKey, signature }: { account: Address; peerKey: `0x${string}`; signature: `0x${string}` },
): void {
  const key = hexToBytes(peerKey)
  require(!equalBytes(key, new Uint8Array(32)), 'peer key is zero')
  c.charge(gasPrices.ed25519)
  const message = registrationMessage(c.block.chainId, account)
  require(verifyEd25519(hexToBytes(signature), message, key), 'peer key did not sign for this account')
}

/** Refuses text over `bytesMax` bytes of UTF-8. */
export function requireShort(name: string, text: string, bytesMax: number): void {
  require(utf8Encode(text).length <= bytesMax, `${name} is longer than ${bytesMax} bytes`)
}

/** Indices of a page: `limit` of `count` from `offset` on; empty past the end. */
export function page(offset: bigint, limit: bigint, count: number): number[] {
  require(limit <= BigInt(PAGE_ENTRIES_MAX), `limit is over ${PAGE_ENTRIES_MAX}`)
  if (offset >= BigInt(count)) return []
  const first = Number(offset)
  return Array.from({ length: Math.min(Number(limit), count - first) }, (_, i) => first + i)
}
