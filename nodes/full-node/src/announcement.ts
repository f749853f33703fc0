import { ByteReader, ByteWriter, concatBytes, DecodeError, utf8Encode } from '@cumulus/bytes'
import { decodeForeignHeader, type HashedHeader } from '@cumulus/ledger'
import { type PeerAddress, type PeerIdentity, parseAddresses } from '@cumulus/network'
import { verifyEd25519 } from '@cumulus/signature'

/**
 * A node tells the network of a block: topic `/cumulus/<chain id>/blocks/1`. Little-endian.
 *
 *     offset  bytes  field
 *     0       1      version, 1
 *     1       3      0
 *     4       32     hash of the genesis block: chains of other networks may have the same id
 *     36      32     Ed25519 key of the node, which is its peer id
 *     68      8      sequence: higher with each announcement of the node, so that no two are the same message
 *     76      4      bytes of the header, H
 *     80      4      bytes of the certificate, C; 0 in a network without a committee
 *     84      4      bytes of the addresses, A; 0 = it does not serve its chain
 *     88      H      RLP of the header
 *             C      certificate of exactly this header
 *             A      multiaddresses for frames, UTF-8, separated by commas
 *             64     Ed25519 signature of "cumulus/announcement/1" and all bytes before
 *
 * Bodies are not announced: whoever wants them fetches them over frames.
 */
export interface Announcement {
  readonly genesisHash: Uint8Array
  readonly peerKey: Uint8Array
  readonly header: HashedHeader
  readonly certificate: Uint8Array | undefined
  readonly addresses: readonly PeerAddress[]
}

export interface AnnouncementInit {
  readonly genesisHash: Uint8Array
  readonly sequence: bigint
  /** RLP. */
  readonly header: Uint8Array
  readonly certificate: Uint8Array | undefined
  /** Multiaddresses separated by commas, or nothing. */
  readonly addresses: string
}

export const ANNOUNCEMENT_BYTES_MAX = 8 * 2 ** 10
const PART_BYTES_MAX = 2 * 2 ** 10
const SIGNATURE_BYTES = 64
const VERSION = 1
const DOMAIN = utf8Encode('cumulus/announcement/1')
const NOTHING = new Uint8Array(0)

export function encodeAnnouncement(init: AnnouncementInit, identity: PeerIdentity): Uint8Array {
  const { genesisHash, header, certificate = NOTHING } = init
  const addresses = utf8Encode(init.addresses)
  const content = new ByteWriter(1024)
    .u8(VERSION)
    .bytes(new Uint8Array(3))
    .bytes(genesisHash)
    .bytes(identity.publicKey)
    .u64(init.sequence)
    .u32(header.length)
    .u32(certificate.length)
    .u32(addresses.length)
    .bytes(header)
    .bytes(certificate)
    .bytes(addresses)
    .finish()
  return concatBytes(content, identity.sign(concatBytes(DOMAIN, content)))
}

/**
 * An announcement that its node signed. Its certificate has not been looked at.
 *
 * @throws DecodeError
 */
export function decodeAnnouncement(bytes: Uint8Array): Announcement {
  if (bytes.length > ANNOUNCEMENT_BYTES_MAX) throw new DecodeError(`an announcement of ${bytes.length} bytes`, 0)
  const reader = new ByteReader(bytes)
  const version = reader.u8()
  if (version !== VERSION) throw new DecodeError(`an announcement of version ${version}`, 0)
  reader.bytes(3)
  const genesisHash = reader.bytes(32).slice()
  const peerKey = reader.bytes(32).slice()
  reader.u64()
  const lengths = [reader.u32(), reader.u32(), reader.u32()] as const
  if (lengths.some((length) => length > PART_BYTES_MAX)) throw new DecodeError('a part that is too long', 76)
  const [header, certificate, addresses] = lengths.map((length) => reader.bytes(length).slice())
  const signedBytes = reader.offset
  const signature = reader.bytes(SIGNATURE_BYTES)
  reader.end()
  // The costly check comes after those of the form.
  const parsed = {
    genesisHash,
    peerKey,
    header: decodeForeignHeader(header!),
    certificate: certificate!.length > 0 ? certificate : undefined,
    addresses: decodeAddresses(addresses!),
  }
  if (!verifyEd25519(signature, concatBytes(DOMAIN, bytes.subarray(0, signedBytes)), peerKey)) {
    throw new DecodeError('not signed by the node that it names', signedBytes)
  }
  return parsed
}

function decodeAddresses(bytes: Uint8Array): PeerAddress[] {
  if (bytes.length === 0) return []
  try {
    return parseAddresses(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw new DecodeError(`addresses that are none: ${(error as Error).message}`, 88)
  }
}
