import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { hexToBytes } from '@cumulus/bytes'
import { ConsensusError } from './consensus/consensus-error.ts'

export type SecretFile = 'peer.key' | 'bls.key' | 'coin.key'

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
