import { readFile } from 'node:fs/promises'
import { concatBytes, equalBytes } from '@cumulus/bytes'
import { HASH_BYTES } from '@cumulus/hash'
import { encodePowers, powersHash, type TaggerSecret } from '@cumulus/podr2'
import { writeFileAtomic } from '@cumulus/service'

/**
 * The encoded powers of a key and their hash, from `path` if they are there and whole, else made (50 µs a power) and kept
 * there: hash 32 ‖ powers. They are public.
 */
export async function loadOrMakePowers(
  path: string,
  secret: TaggerSecret,
  sectorCount: number,
): Promise<{ powers: Uint8Array; hash: Uint8Array }> {
  // α itself is not in the file: that its powers are is told by the second one, which is made anew.
  const start = encodePowers(secret, Math.min(sectorCount, 3))
  const kept = await readIfThere(path)
  if (kept && kept.length > HASH_BYTES) {
    const powers = kept.subarray(HASH_BYTES)
    const hash = powersHash(powers)
    const isOwn = equalBytes(powers.subarray(0, start.length), start)
    const isWhole = powers.length === (start.length / Math.min(sectorCount - 1, 2)) * (sectorCount - 1)
    if (isOwn && isWhole && equalBytes(hash, kept.subarray(0, HASH_BYTES))) return { powers, hash }
  }
  const powers = encodePowers(secret, sectorCount)
  const hash = powersHash(powers)
  await writeFileAtomic(path, concatBytes(hash, powers))
  return { powers, hash }
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return new Uint8Array(await readFile(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
