import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { describe, it } from 'node:test'
import { createCertificate, verifyCertificate } from '../src/certificate.ts'
import { type PeerIdentity, peerIdOf } from '../src/identity.ts'
import { alice, bob } from './support.ts'

const now = new Date('2026-06-01T12:00:00Z')

function certificateOf(identity: PeerIdentity, at = now): X509Certificate {
  return new X509Certificate(createCertificate(identity, at).cert)
}

/** The certificate with `from` replaced by `to` wherever it stands. */
function changed(certificate: X509Certificate, from: string, to: string): X509Certificate {
  const hex = certificate.raw.toString('hex')
  assert.ok(hex.includes(from))
  return new X509Certificate(Buffer.from(hex.replaceAll(from, to), 'hex'))
}

const PEER_EXTENSION = '060a2b0601040183a25a0101'
const OTHER_EXTENSION = '060a2b0601040183a25a0102'

describe('a peer certificate', () => {
  it('proves the key of its maker', () => {
    assert.deepEqual(verifyCertificate(certificateOf(alice), now), { ok: true, peerKey: alice.publicKey })
  })

  it('is different each time, and so is its key', () => {
    assert.notDeepEqual(certificateOf(alice).raw, certificateOf(alice).raw)
    assert.notEqual(createCertificate(alice, now).key, createCertificate(alice, now).key)
  })

  it('holds from a day before it was made until a week after', () => {
    const certificate = certificateOf(alice)
    const at = (days: number, seconds: number): Date => new Date(now.getTime() + days * 86_400_000 + seconds * 1000)
    assert.equal(verifyCertificate(certificate, at(-1, 1)).ok, true)
    assert.equal(verifyCertificate(certificate, at(7, -1)).ok, true)
    assert.deepEqual(verifyCertificate(certificate, at(-1, -1)), { ok: false, reason: 'not valid yet' })
    assert.deepEqual(verifyCertificate(certificate, at(7, 1)), { ok: false, reason: 'expired' })
  })

  it('is refused if another key signed for the peer key', () => {
    const forger = { publicKey: alice.publicKey, sign: (message: Uint8Array) => bob.sign(message) } as PeerIdentity
    assert.deepEqual(verifyCertificate(certificateOf(forger), now), {
      ok: false,
      reason: 'the peer key did not sign the certificate key',
    })
  })

  it('is refused if its own key did not sign it', () => {
    const certificate = certificateOf(alice)
    const der = Buffer.from(certificate.raw)
    der[30]! ^= 1 // in the serial number
    assert.deepEqual(verifyCertificate(new X509Certificate(der), now), {
      ok: false,
      reason: 'not signed by its own key',
    })
  })

  it('is refused without the peer extension', () => {
    const critical = changed(certificateOf(alice), PEER_EXTENSION, OTHER_EXTENSION)
    assert.deepEqual(verifyCertificate(critical, now), { ok: false, reason: 'a critical extension is unknown' })
    const harmless = changed(certificateOf(alice), `${PEER_EXTENSION}0101ff`, `${OTHER_EXTENSION}010100`)
    assert.deepEqual(verifyCertificate(harmless, now), { ok: false, reason: 'no peer extension' })
  })

  it('is refused if it is signed with anything but ECDSA and SHA-256', () => {
    const sha384 = changed(certificateOf(alice), '06082a8648ce3d040302', '06082a8648ce3d040303')
    assert.deepEqual(verifyCertificate(sha384, now), { ok: false, reason: 'not signed with ECDSA and SHA-256' })
  })

  it('is refused, never an error, whichever bit is wrong', () => {
    const { raw } = certificateOf(alice)
    let parsed = 0
    for (let i = 0; i < raw.length; i++) {
      const der = Buffer.from(raw)
      der[i]! ^= 1 << (i % 8)
      let certificate: X509Certificate
      try {
        certificate = new X509Certificate(der)
      } catch {
        continue // OpenSSL would not let it through either
      }
      parsed++
      assert.equal(verifyCertificate(certificate, now).ok, false, `byte ${i}`)
    }
    assert.ok(parsed > 100)
  })
})

// https://github.com/libp2p/specs/blob/master/tls/tls.md#test-vectors
describe('the test vectors of the libp2p TLS specification', () => {
  const vector = (hex: string): X509Certificate => new X509Certificate(Buffer.from(hex, 'hex'))

  it('1: a valid certificate of an Ed25519 peer proves its id', () => {
    const verdict = verifyCertificate(
      vector(
        '308201773082011ea003020102020900f5bd0debaa597f52300a06082a8648ce3d04030230003020170d3735303130313030303030305a180f34303936303130313030303030305a30003059301306072a8648ce3d020106082a8648ce3d030107034200046bf9871220d71dcb3483ecdfcbfcc7c103f8509d0974b3c18ab1f1be1302d643103a08f7a7722c1b247ba3876fe2c59e26526f479d7718a85202ddbe47562358a37f307d307b060a2b0601040183a25a01010101ff046a30680424080112207fda21856709c5ae12fd6e8450623f15f11955d384212b89f56e7e136d2e17280440aaa6bffabe91b6f30c35e3aa4f94b1188fed96b0ffdd393f4c58c1c047854120e674ce64c788406d1c2c4b116581fd7411b309881c3c7f20b46e54c7e6fe7f0f300a06082a8648ce3d040302034700304402207d1a1dbd2bda235ff2ec87daf006f9b04ba076a5a5530180cd9c2e8f6399e09d0220458527178c7e77024601dbb1b256593e9b96d961b96349d1f560114f61a87595',
      ),
      now,
    )
    assert.ok(verdict.ok)
    assert.equal(peerIdOf(verdict.peerKey), '12D3KooWJRSrypvnpHgc6ZAgyCni4KcSmbV7uGRaMw5LgMKT18fq')
  })

  it('2: a valid certificate of an ECDSA peer is refused, since our peers are Ed25519', () => {
    const verdict = verifyCertificate(
      vector(
        '308201c030820166a003020102020900eaf419a6e3edb4a6300a06082a8648ce3d04030230003020170d3735303130313030303030305a180f34303936303130313030303030305a30003059301306072a8648ce3d020106082a8648ce3d030107034200048dbf1116c7c608d6d5292bd826c3feb53483a89fce434bf64538a359c8e07538ff71f6766239be6a146dcc1a5f3bb934bcd4ae2ae1d4da28ac68b4a20593f06ba381c63081c33081c0060a2b0601040183a25a01010101ff0481ae3081ab045f0803125b3059301306072a8648ce3d020106082a8648ce3d0301070342000484b93fa456a74bd0153919f036db7bc63c802f055bc7023395d0203de718ee0fc7b570b767cdd858aca6c7c4113ff002e78bd2138ac1a3b26dde3519e06979ad04483046022100bc84014cea5a41feabdf4c161096564b9ccf4b62fbef4fe1cd382c84e11101780221009204f086a84cb8ed8a9ddd7868dc90c792ee434adf62c66f99a08a5eba11615b300a06082a8648ce3d0403020348003045022054b437be9a2edf591312d68ff24bf91367ad4143f76cf80b5658f232ade820da022100e23b48de9df9c25d4c83ddddf75d2676f0b9318ee2a6c88a736d85eab94a912f',
      ),
      now,
    )
    assert.deepEqual(verdict, { ok: false, reason: 'the peer key is not Ed25519' })
  })

  it('4: a certificate whose signature is not of the peer it names is refused', () => {
    const verdict = verifyCertificate(
      vector(
        '308201773082011da003020102020830a73c5d896a1109300a06082a8648ce3d04030230003020170d3735303130313030303030305a180f34303936303130313030303030305a30003059301306072a8648ce3d020106082a8648ce3d03010703420004bbe62df9a7c1c46b7f1f21d556deec5382a36df146fb29c7f1240e60d7d5328570e3b71d99602b77a65c9b3655f62837f8d66b59f1763b8c9beba3be07778043a37f307d307b060a2b0601040183a25a01010101ff046a3068042408011220ec8094573afb9728088860864f7bcea2d4fd412fef09a8e2d24d482377c20db60440ecabae8354afa2f0af4b8d2ad871e865cb5a7c0c8d3dbdbf42de577f92461a0ebb0a28703e33581af7d2a4f2270fc37aec6261fcc95f8af08f3f4806581c730a300a06082a8648ce3d040302034800304502202dfb17a6fa0f94ee0e2e6a3b9fb6e986f311dee27392058016464bd130930a61022100ba4b937a11c8d3172b81e7cd04aedb79b978c4379c2b5b24d565dd5d67d3cb3c',
      ),
      now,
    )
    assert.deepEqual(verdict, { ok: false, reason: 'the peer key did not sign the certificate key' })
  })
})
