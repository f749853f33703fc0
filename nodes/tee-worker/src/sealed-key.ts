import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ByteReader, ByteWriter, concatBytes, utf8Encode } from '@cumulus/bytes'
import { SECRET_SEED_BYTES } from '@cumulus/podr2'
import { writeFileAtomic } from '@cumulus/service'
import { TeeWorkerError } from './tee-worker-error.ts'

// The seed of (x, α) on disk:
//
//     offset  bytes  field
//     0       1      version, 1
//     1       12     nonce
//     13      16     tag of AES-256-GCM
//     29      96     seed, encrypted
//
// The key is derived from a file of secret bytes. In an enclave that file is the one in which the library OS shows the
// hardware's sealing key; anywhere else it lies in the same folder, and sealing protects against nothing but a copy of one file.

const VERSION = 1
const NONCE_BYTES = 12
const MAC_BYTES = 16
const SEALED_BYTES = 1 + NONCE_BYTES + MAC_BYTES + SECRET_SEED_BYTES
/** Shorter secrets are none; Gramine shows 16 bytes. */
const SEAL_KEY_BYTES_MIN = 16
const DOMAIN = utf8Encode('cumulus/tee/sealed-key/1')

/**
 * The seed sealed in `path`, or a new one from the system's randomness, sealed there before it is returned.
 *
 * @param owner what the seed belongs to: it opens for nobody else
 * @throws TeeWorkerError `SEAL_BROKEN`
 */
export async function loadOrSealSeed(
  path: string,
  sealKeyFile: string,
  owner: Uint8Array,
): Promise<{ seed: Uint8Array; isNew: boolean }> {
  const sealed = await readIfThere(path)
  if (sealed) return { seed: open(sealed, path, await sealKey(sealKeyFile), owner), isNew: false }
  const secret = (await readIfThere(sealKeyFile)) ?? (await makeSealKey(sealKeyFile))
  const seed = new Uint8Array(randomBytes(SECRET_SEED_BYTES))
  await writeFileAtomic(path, seal(seed, checked(secret, sealKeyFile), owner), { mode: 0o600 })
  return { seed, isNew: true }
}

function seal(seed: Uint8Array, secret: Uint8Array, owner: Uint8Array): Uint8Array {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', keyOf(secret), nonce).setAAD(aad(owner))
  const encrypted = concatBytes(cipher.update(seed), cipher.final())
  return new ByteWriter(SEALED_BYTES).u8(VERSION).bytes(nonce).bytes(cipher.getAuthTag()).bytes(encrypted).finish()
}

function open(sealed: Uint8Array, path: string, secret: Uint8Array, owner: Uint8Array): Uint8Array {
  if (sealed.length !== SEALED_BYTES || sealed[0] !== VERSION) {
    throw new TeeWorkerError('SEAL_BROKEN', `${path} is no sealed key`, { bytes: sealed.length })
  }
  const reader = new ByteReader(sealed.subarray(1))
  const nonce = reader.bytes(NONCE_BYTES)
  const mac = reader.bytes(MAC_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', keyOf(secret), nonce).setAAD(aad(owner)).setAuthTag(mac)
  try {
    return concatBytes(decipher.update(reader.bytes(SECRET_SEED_BYTES)), decipher.final())
  } catch (cause) {
    throw new TeeWorkerError('SEAL_BROKEN', `${path} does not open with this seal key`, {}, { cause })
  }
}

async function sealKey(path: string): Promise<Uint8Array> {
  const secret = await readIfThere(path)
  if (!secret) throw new TeeWorkerError('SEAL_BROKEN', `the seal key ${path} is gone`)
  return checked(secret, path)
}

function checked(secret: Uint8Array, path: string): Uint8Array {
  if (secret.length < SEAL_KEY_BYTES_MIN) {
    throw new TeeWorkerError('SEAL_BROKEN', `${path} holds no key`, { bytes: secret.length })
  }
  return secret
}

async function makeSealKey(path: string): Promise<Uint8Array> {
  const secret = new Uint8Array(randomBytes(32))
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await writeFileAtomic(path, secret, { mode: 0o600 })
  return secret
}

function keyOf(secret: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(0), DOMAIN, 32))
}

function aad(owner: Uint8Array): Uint8Array {
  return concatBytes(DOMAIN, owner)
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return new Uint8Array(await readFile(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
