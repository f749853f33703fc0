import { randomBytes } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { bytesToHex, bytesToPlainHex, hexToBytes } from '@cumulus/bytes'
import { coinThresholdOf } from '@cumulus/certificate'
import type { GenesisCommittee } from '@cumulus/ledger'
import { PeerIdentity } from '@cumulus/network'
import { writeFileAtomic } from '@cumulus/service'
import { BlsKey, deal, ThresholdError } from '@cumulus/threshold'
import type { Address } from '@cumulus/types'
import { ExecutionError } from './execution-error.ts'

/** Secrets of one member, 32 bytes each. */
export interface MemberKeys {
  readonly peerSeed: Uint8Array
  readonly blsSeed: Uint8Array
  /** Share of the coin's key; absent where the coin is public. */
  readonly coinShare?: Uint8Array
}

// Each file holds 64 hex digits and a newline, for its owner's eyes only.
const PEER_KEY_FILE = 'peer.key'
const BLS_KEY_FILE = 'bls.key'
const COIN_KEY_FILE = 'coin.key'
/** Names the peer key that nothing was signed with yet; the validator removes it before it signs. */
const NEW_KEYS_FILE = 'order.new'

/** Fewer than four members have no spare one, and no adversary to hide the coin from. */
const DEALT_MEMBERS_MIN = 4

/**
 * New keys for all members, and what the genesis says of them. Whoever calls this knows all secrets, the coin's too: for
 * development networks. Committees of four or more get a dealt coin.
 */
export function createDevelopmentCommittee(
  places: readonly { readonly account: Address; readonly address: string }[],
): { readonly committee: GenesisCommittee; readonly keys: readonly MemberKeys[] } {
  const dealing =
    places.length >= DEALT_MEMBERS_MIN
      ? deal({ n: places.length, t: coinThresholdOf(places.length), randomness: randomBytes(32) })
      : undefined
  const keys = places.map((_, index): MemberKeys => {
    const coinShare = dealing?.shares[index]
    return { peerSeed: randomBytes(32), blsSeed: randomBytes(32), ...(coinShare && { coinShare }) }
  })
  const members = places.map(({ account, address }, index) => {
    const { peerSeed, blsSeed } = keys[index]!
    const bls = BlsKey.fromSeed(blsSeed)
    return {
      account,
      peerKey: bytesToHex(new PeerIdentity(peerSeed).publicKey),
      blsKey: bytesToHex(bls.publicKey),
      blsProof: bytesToHex(bls.provePossession()),
      address,
    }
  })
  const coin: GenesisCommittee['coin'] = dealing
    ? { mode: 'dealt', publicKey: bytesToHex(dealing.publicKey), shareKeys: dealing.shareKeys.map(bytesToHex) }
    : { mode: 'public' }
  return { committee: { members, coin }, keys }
}

/**
 * Writes `peer.key`, `bls.key` and `coin.key` into the folder of a validator.
 *
 * @param areNew they have just been drawn, so certainly nothing was signed with them: a member of other keys who finds no log
 * of its own asks all others what it signed before it signs anything. Never for keys that come out of a backup
 */
export async function writeMemberKeys(
  folder: string,
  { peerSeed, blsSeed, coinShare }: MemberKeys,
  { areNew = false }: { readonly areNew?: boolean } = {},
): Promise<void> {
  const write = (name: string, secret: Uint8Array) =>
    writeFileAtomic(join(folder, name), `${bytesToPlainHex(secret)}\n`, { mode: 0o600 })
  await write(PEER_KEY_FILE, peerSeed)
  await write(BLS_KEY_FILE, blsSeed)
  if (coinShare) await write(COIN_KEY_FILE, coinShare)
  if (areNew) {
    await writeFileAtomic(join(folder, NEW_KEYS_FILE), `${bytesToHex(new PeerIdentity(peerSeed).publicKey)}\n`)
  }
}

/** What a member signs votes with. @throws ExecutionError KEY_FILE */
export async function readBlsKey(folder: string): Promise<BlsKey> {
  return BlsKey.fromSeed(await readSecret(join(folder, BLS_KEY_FILE)))
}

/** What a member signs its shares of the coin with. @throws ExecutionError KEY_FILE */
export async function readCoinShare(folder: string): Promise<BlsKey> {
  const path = join(folder, COIN_KEY_FILE)
  const secret = await readSecret(path)
  try {
    return BlsKey.fromSecret(secret)
  } catch (cause) {
    if (!(cause instanceof ThresholdError) || cause.code !== 'BAD_SECRET') throw cause
    throw new ExecutionError('KEY_FILE', `${path} holds no share of a key`, { path }, { cause })
  }
}

async function readSecret(path: string): Promise<Uint8Array> {
  let text: string
  try {
    const { mode } = await stat(path)
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new ExecutionError('KEY_FILE', `${path} may be read by others: chmod 600 it`, { path })
    }
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if (cause instanceof ExecutionError) throw cause
    throw new ExecutionError('KEY_FILE', `cannot read ${path}`, { path }, { cause })
  }
  // The text itself stays out of the message: it is a secret.
  if (!/^[0-9a-f]{64}\n?$/.test(text))
    throw new ExecutionError('KEY_FILE', `${path} does not hold 64 hex digits`, { path })
  return hexToBytes(text.trimEnd())
}
