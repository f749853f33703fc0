import type { SecureContextOptions, TLSSocket } from 'node:tls'
import { type CertificateVerdict, createCertificate, type PeerCertificate, verifyCertificate } from './certificate.ts'
import type { PeerIdentity } from './identity.ts'

export const ALPN = 'cumulus/1'

/** A new certificate long before the old one ends: any clock that is off by days still takes it. */
export const CERTIFICATE_RENEWAL_MS = 86_400_000
const REMAINING_MS_MIN = 5 * 86_400_000

const certificates = new WeakMap<PeerIdentity, PeerCertificate>()

/** TLS 1.3 only; AES-128 first, a quarter cheaper than AES-256 (what we carry is encrypted by its owner already). */
export function tlsOptionsOf(identity: PeerIdentity): SecureContextOptions {
  const now = Date.now()
  let certificate = certificates.get(identity)
  if (!certificate || certificate.expiresAtMs - now < REMAINING_MS_MIN) {
    certificate = createCertificate(identity, new Date(now))
    certificates.set(identity, certificate)
  }
  return {
    cert: certificate.cert,
    key: certificate.key,
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384',
  }
}

/** Who is at the other end of a finished handshake. Nothing that the other end sent may be looked at before. */
export function verifyPeer(socket: TLSSocket): CertificateVerdict {
  if (socket.getProtocol() !== 'TLSv1.3') return { ok: false, reason: `speaks ${socket.getProtocol()}` }
  if (socket.alpnProtocol !== ALPN) return { ok: false, reason: `does not speak ${ALPN}` }
  const certificate = socket.getPeerX509Certificate()
  if (!certificate) return { ok: false, reason: 'showed no certificate' }
  // OpenSSL has put further certificates here if they lead anywhere; unrelated ones it keeps to itself.
  if (certificate.issuerCertificate && certificate.issuerCertificate.fingerprint256 !== certificate.fingerprint256) {
    return { ok: false, reason: 'showed more than one certificate' }
  }
  return verifyCertificate(certificate, new Date())
}
