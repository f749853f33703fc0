import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hexToBytes } from '@cumulus/bytes'
import { ConsensusError } from './consensus/consensus-error.ts'

/** Secrets of a member, 32 bytes each. */
export interface MemberSecrets {
  /** Seed of the Ed25519 key: identity towards peers, signature of own blocks. */
  readonly peer: Uint8Array
  /** Seed of the BLS key of votes, for `BlsKey.fromSeed`. */
  readonly bls: Uint8Array
  /** Share of the coin's key, for `BlsKey.fromSecret`; absent where the coin is public. */
  readonly coin?: Uint8Array
}

export type SecretFile = 'peer.key' | 'bls.key' | 'coin.key'

/** Writes the files that a member's folder needs: 64 hex digits and a newline each, for the owner's eyes only. */
export async function writeMemberKeys(folder: string, { peer, bls, coin }: MemberSecrets): Promise<void> {
  const files: [SecretFile, Uint8Array | undefined][] = [
    ['peer.key', peer],
    ['bls.key', bls],
    ['coin.key', coin],
  ]
  for (const [name, secret] of files) {
    if (!secret) continue
    const path = join(folder, name)
    await writeFile(path, `${secret.toHex()}\n`, { mode: 0o600 })
    await chmod(path, 0o600)
  }
}

/** @throws ConsensusError BAD_KEY, which never says what is in the file */
export async function readSecret(folder: string, name: SecretFile): Promise<Uint8Array> {
  const path = join(folder, name)
  let text: string
  try {
    const { mode } = await stat(path)
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new ConsensusError('BAD_KEY', `${path} may be read by others: chmod 600 it, or make new keys`, { path })
    }
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if (cause instanceof ConsensusError) throw cause
    throw new ConsensusError('BAD_KEY', `${path} cannot be read`, { path }, { cause })
  }
  if (!/^[0-9a-f]{64}\n?$/.test(text)) {
    throw new ConsensusError('BAD_KEY', `${path} does not hold 64 hex digits`, { path })
  }
  return hexToBytes(text.trimEnd())
}
