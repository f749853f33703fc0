import { generateKeyPairSync, randomBytes, sign, type X509Certificate } from 'node:crypto'
import { concatBytes, equalBytes, utf8Encode } from '@cumulus/bytes'
import { verifyEd25519 } from '@cumulus/signature'
import { DerTag, der, derElement, derElements } from './der.ts'
import type { PeerIdentity } from './identity.ts'

/**
 * Certificates that prove a peer id, as libp2p does it: self-signed by a throw-away P-256 key, with the peer's key and
 * its signature over the throw-away key in an extension. https://github.com/libp2p/specs/blob/master/tls/tls.md
 *
 * Narrower than that page on purpose: peers are Ed25519, certificates are ECDSA P-256 with SHA-256. That is what every
 * libp2p implementation issues for an Ed25519 peer, and byte-equal prefixes leave no room for odd encodings.
 */
export interface PeerCertificate {
  /** PEM, for `node:tls`. */
  readonly cert: string
  readonly key: string
  readonly expiresAtMs: number
}

/** A stolen certificate key is worth no more than this; an endpoint makes a new one long before. */
const VALID_MS = 7 * 86_400_000
/** Clocks of peers may be behind ours by as much. */
const CLOCK_SKEW_MS = 86_400_000

const SIGNATURE_PREFIX = utf8Encode('libp2p-tls-handshake:')
/** ecdsa-with-SHA256, RFC 5758 */
const SIGNATURE_ALGORITHM = Uint8Array.fromHex('300a06082a8648ce3d040302')
/** A P-256 key by the name of its curve and uncompressed, RFC 5480: 65 bytes follow. */
const SPKI_PREFIX = Uint8Array.fromHex('3059301306072a8648ce3d020106082a8648ce3d030107034200')
const SPKI_BYTES = SPKI_PREFIX.length + 65
/** 1.3.6.1.4.1.53594.1.1 */
const EXTENSION_ID = Uint8Array.fromHex('060a2b0601040183a25a0101')
/** Protobuf {1: KeyType Ed25519, 2: 32 bytes}. */
const PEER_KEY_PREFIX = Uint8Array.fromHex('08011220')
const DER_TRUE = Uint8Array.fromHex('0101ff')

/** @param at when it is made; valid from a day before to a week after */
export function createCertificate(identity: PeerIdentity, at: Date): PeerCertificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const spki = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }))
  const expiresAtMs = at.getTime() + VALID_MS
  const tbs = der(
    DerTag.sequence,
    der(DerTag.version, der(DerTag.integer, Uint8Array.of(2))), // X.509 v3
    der(DerTag.integer, concatBytes(Uint8Array.of(0x40), randomBytes(15))), // positive whatever the random bytes
    SIGNATURE_ALGORITHM,
    der(DerTag.sequence), // issuer: nobody
    der(DerTag.sequence, utcTime(at.getTime() - CLOCK_SKEW_MS), utcTime(expiresAtMs)),
    der(DerTag.sequence), // subject: the extension says who
    spki,
    der(DerTag.extensions, der(DerTag.sequence, peerExtension(identity, spki))),
  )
  const signature = sign('sha256', tbs, privateKey)
  const certificate = der(DerTag.sequence, tbs, SIGNATURE_ALGORITHM, der(DerTag.bitString, Uint8Array.of(0), signature))
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${certificate.toBase64()}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
    expiresAtMs,
  }
}

export type CertificateVerdict =
  | { readonly ok: true; readonly peerKey: Uint8Array }
  | { readonly ok: false; readonly reason: string }

/**
 * Whose certificate this is. Costs two signature checks, 0.4 ms.
 *
 * @param certificate of the other end; that it holds the certificate's key is what TLS proves
 */
export function verifyCertificate(certificate: X509Certificate, at: Date): CertificateVerdict {
  const parts = partsOf(new Uint8Array(certificate.raw))
  if (typeof parts === 'string') return refused(parts)
  const { spki, peerKey, peerSignature } = parts
  if (!(at >= certificate.validFromDate)) return refused('not valid yet')
  if (!(at <= certificate.validToDate)) return refused('expired')
  if (!isSelfSigned(certificate)) return refused('not signed by its own key')
  if (!verifyEd25519(peerSignature, concatBytes(SIGNATURE_PREFIX, spki), peerKey)) {
    return refused('the peer key did not sign the certificate key')
  }
  return { ok: true, peerKey }
}

function isSelfSigned(certificate: X509Certificate): boolean {
  try {
    return certificate.verify(certificate.publicKey)
  } catch {
    return false // OpenSSL cannot read the key, such as a point that is not on the curve
  }
}

function refused(reason: string): CertificateVerdict {
  return { ok: false, reason }
}

interface CertificateParts {
  readonly spki: Uint8Array
  readonly peerKey: Uint8Array
  readonly peerSignature: Uint8Array
}

/** The fields that matter, or why it cannot be a peer's certificate. */
function partsOf(certificate: Uint8Array): CertificateParts | string {
  try {
    const [tbs, algorithm] = derElements(derElement(certificate, DerTag.sequence).content)
    const fields = derElements(tbs!.content)
    const [version, , innerAlgorithm, , , , spki, extensions] = fields
    if (version?.tag !== DerTag.version || extensions?.tag !== DerTag.extensions || fields.length !== 8) {
      return 'not of the shape of a version 3 certificate with extensions'
    }
    if (!equalBytes(algorithm!.bytes, SIGNATURE_ALGORITHM) || !equalBytes(innerAlgorithm!.bytes, SIGNATURE_ALGORITHM)) {
      return 'not signed with ECDSA and SHA-256'
    }
    if (spki!.bytes.length !== SPKI_BYTES || !equalBytes(spki!.bytes.subarray(0, SPKI_PREFIX.length), SPKI_PREFIX)) {
      return 'its key is not of the named curve P-256'
    }
    const signedKey = peerExtensionOf(extensions.content)
    if (typeof signedKey === 'string') return signedKey
    const [publicKey, signature, ...more] = derElements(derElement(signedKey, DerTag.sequence).content)
    if (publicKey?.tag !== DerTag.octetString || signature?.tag !== DerTag.octetString || more.length > 0) {
      return 'the peer extension is malformed'
    }
    if (
      publicKey.content.length !== PEER_KEY_PREFIX.length + 32 ||
      !equalBytes(publicKey.content.subarray(0, PEER_KEY_PREFIX.length), PEER_KEY_PREFIX)
    ) {
      return 'the peer key is not Ed25519'
    }
    return {
      spki: spki!.bytes,
      peerKey: publicKey.content.slice(PEER_KEY_PREFIX.length),
      peerSignature: signature.content,
    }
  } catch (error) {
    return `malformed: ${(error as Error).message}`
  }
}

/** The SignedKey of the only peer extension. Other extensions are ignored unless they are critical. */
function peerExtensionOf(extensions: Uint8Array): Uint8Array | string {
  let signedKey: Uint8Array | undefined
  for (const extension of derElements(derElement(extensions, DerTag.sequence).content)) {
    const fields = derElements(extension.content)
    const critical = fields[1]?.tag === DerTag.boolean
    if (equalBytes(fields[0]!.bytes, EXTENSION_ID)) {
      const value = fields[critical ? 2 : 1]
      if (signedKey || value?.tag !== DerTag.octetString) return 'the peer extension is malformed'
      signedKey = value.content
    } else if (critical && equalBytes(fields[1]!.bytes, DER_TRUE)) {
      return 'a critical extension is unknown'
    }
  }
  return signedKey ?? 'no peer extension'
}

function peerExtension(identity: PeerIdentity, spki: Uint8Array): Uint8Array {
  const signedKey = der(
    DerTag.sequence,
    der(DerTag.octetString, PEER_KEY_PREFIX, identity.publicKey),
    der(DerTag.octetString, identity.sign(concatBytes(SIGNATURE_PREFIX, spki))),
  )
  return der(DerTag.sequence, EXTENSION_ID, DER_TRUE, der(DerTag.octetString, signedKey))
}

/** YYMMDDhhmmssZ: RFC 5280 wants this form until 2049. */
function utcTime(ms: number): Uint8Array {
  const text = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')
  return der(DerTag.utcTime, utf8Encode(text.slice(2)))
}
