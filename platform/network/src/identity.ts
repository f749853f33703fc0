import { randomBytes } from 'node:crypto'
import { chmod, link, mkdir, open, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { bytesToPlainHex, concatBytes, hexToBytes } from '@cumulus/bytes'
import { Ed25519Key } from '@cumulus/signature'
import { privateKeyFromRaw, publicKeyFromRaw } from '@libp2p/crypto/keys'
import { peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id'
import { NetworkError } from './session.ts'

/** What a process is to its peers: an Ed25519 key and the id that libp2p derives from it. */
export class PeerIdentity {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /** `12D3KooW…` */
  readonly peerId: string
  readonly #key: Ed25519Key
  readonly #seed: Uint8Array

  /** @param seed 32 secret bytes */
  constructor(seed: Uint8Array) {
    this.#key = new Ed25519Key(seed)
    this.#seed = seed.slice()
    this.publicKey = this.#key.publicKey
    this.peerId = peerIdOf(this.publicKey)
  }

  static create(): PeerIdentity {
    return new PeerIdentity(randomBytes(32))
  }

  /**
   * The identity kept in `folder`; made on first use. Two processes that start at once get the same one.
   *
   * @throws NetworkError `IDENTITY` if the file is not a key, or others than its owner may read it
   */
  static async loadOrCreate(folder: string): Promise<PeerIdentity> {
    const path = join(folder, PEER_KEY_FILE)
    const kept = await load(path)
    if (kept) return new PeerIdentity(kept)
    await create(folder, path, randomBytes(32))
    const made = await load(path)
    if (!made) throw new NetworkError('IDENTITY', `${path} vanished while it was made`)
    return new PeerIdentity(made)
  }

  /** 64-byte Ed25519 signature, as receipts carry it. */
  sign(message: Uint8Array): Uint8Array {
    return this.#key.sign(message)
  }

  /** The same key for a js-libp2p node, which signs in its own code. A secret: hand it to nothing else. */
  libp2pKey(): ReturnType<typeof privateKeyFromRaw> {
    return privateKeyFromRaw(concatBytes(this.#seed, this.publicKey))
  }
}

/** 64 hex digits of the seed and a newline. */
const PEER_KEY_FILE = 'peer.key'

/** The id of a peer as libp2p writes it: base58 of the identity multihash of the key's protobuf. */
export function peerIdOf(publicKey: Uint8Array): string {
  return peerIdFromPublicKey(publicKeyFromRaw(publicKey)).toString()
}

/**
 * The Ed25519 public key inside a peer id.
 *
 * @throws NetworkError `BAD_ADDRESS` if it is not the id of an Ed25519 key
 */
export function publicKeyOf(peerId: string): Uint8Array {
  try {
    const id = peerIdFromString(peerId)
    if (id.type === 'Ed25519') return new Uint8Array(id.publicKey.raw)
  } catch (cause) {
    throw new NetworkError('BAD_ADDRESS', `${peerId} is not a peer id`, { cause })
  }
  throw new NetworkError('BAD_ADDRESS', `${peerId} is not the id of an Ed25519 key`)
}

async function load(path: string): Promise<Uint8Array | undefined> {
  let text: string
  try {
    const { mode } = await stat(path)
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new NetworkError('IDENTITY', `${path} may be read by others: chmod 600 it, or make a new identity`)
    }
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  // The text itself stays out of the message: it is a secret.
  if (!/^[0-9a-f]{64}\n$/.test(text)) throw new NetworkError('IDENTITY', `${path} does not hold 64 hex digits`)
  return hexToBytes(text.trimEnd())
}

/** Whole or not at all, and never over an identity that is there already: `link` refuses where `rename` replaces. */
async function create(folder: string, path: string, seed: Uint8Array): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  try {
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(`${bytesToPlainHex(seed)}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await chmod(draft, 0o600)
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  } finally {
    await rm(draft, { force: true })
  }
  const directory = await open(folder, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
