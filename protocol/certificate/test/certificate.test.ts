import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { aggregateSignatures } from '@cumulus/threshold'
import fc from 'fast-check'
import {
  CERTIFICATE_BYTES,
  certificateFromJson,
  certificateToJson,
  coinMessage,
  decodeCertificate,
  encodeCertificate,
  signersOf,
  verifyCertificate,
  voteMessage,
} from '../src/index.ts'
import { bls, certificateBy, committeeOfSize, hashOf, voteOf } from './fixture.ts'

const committee = committeeOfSize(4)
const certificate = certificateBy([0, 2, 3], committee)

const anyCertificate = fc.record(
  {
    era: fc.nat(2 ** 32 - 1),
    height: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    headerHash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    signers: fc.nat(2 ** 32 - 1),
    signature: fc.uint8Array({ minLength: 96, maxLength: 96 }),
  },
  { noNullPrototype: true },
)

describe('a certificate', () => {
  it('holds by any quorum', () => {
    for (const signers of [
      [0, 1, 2],
      [1, 2, 3],
      [0, 2, 3],
      [0, 1, 2, 3],
    ]) {
      verifyCertificate(certificateBy(signers, committee), committee, bls)
    }
    const large = committeeOfSize(31)
    verifyCertificate(
      certificateBy(
        Array.from({ length: 21 }, (_, i) => i + 10),
        large,
      ),
      large,
      bls,
    )
    const alone = committeeOfSize(1)
    verifyCertificate(certificateBy([0], alone), alone, bls)
  })

  it('needs a quorum, of this committee', () => {
    const refused = (change: object, code: string, against = committee) =>
      assert.throws(() => verifyCertificate({ ...certificate, ...change }, against, bls), { code })
    refused(certificateBy([0, 1], committee), 'BELOW_QUORUM')
    refused({ signers: 0 }, 'BELOW_QUORUM')
    refused({ signers: 0b10111 }, 'UNKNOWN_SIGNER')
    refused({ signers: 0x8000_0000 }, 'UNKNOWN_SIGNER')
    refused({ era: 1 }, 'WRONG_ERA')
    refused({}, 'WRONG_ERA', committeeOfSize(4, { era: 1 }))
    // The same members on another chain have said nothing of this one.
    refused({}, 'BAD_SIGNATURE', committeeOfSize(4, { chainId: 1 }))
    refused({ headerHash: hashOf(8) }, 'BAD_SIGNATURE')
    refused({ height: 6n }, 'BAD_SIGNATURE')
    refused({ signers: 0b1111 }, 'BAD_SIGNATURE')
    refused({ signers: 0b0111 }, 'BAD_SIGNATURE')
    refused({ signature: voteOf(0, committee, 5n).signature }, 'BAD_SIGNATURE')
    refused({ signature: new Uint8Array(96) }, 'BAD_SIGNATURE')
    refused({ signature: new Uint8Array(95) }, 'MALFORMED')
    refused({ headerHash: new Uint8Array(31) }, 'MALFORMED')
  })

  it('does not count a signer twice', () => {
    const { signature } = voteOf(0, committee, 5n)
    const doubled = aggregateSignatures([signature, signature, voteOf(2, committee, 5n).signature])
    for (const signers of [0b101, 0b111, 0b1101]) {
      assert.throws(() => verifyCertificate({ ...certificate, signers, signature: doubled }, committee, bls))
    }
  })

  it('comes back from its bytes and from its JSON', () => {
    fc.assert(
      fc.property(anyCertificate, (any) => {
        assert.equal(encodeCertificate(any).length, CERTIFICATE_BYTES)
        assert.deepEqual(decodeCertificate(encodeCertificate(any)), any)
        assert.deepEqual(certificateFromJson(JSON.parse(JSON.stringify(certificateToJson(any)))), any)
      }),
    )
    assert.deepEqual(signersOf(certificate), [0, 2, 3])
    const bytes = encodeCertificate({ ...certificate, era: 0x01020304, height: 5n, signers: 0b1101 })
    assert.equal(bytes.subarray(0, 13).toHex(), '01040302010500000000000000')
    assert.equal(bytes.subarray(45, 49).toHex(), '0d000000')
  })

  it('is refused in any other layout', () => {
    const bytes = encodeCertificate(certificate)
    for (const bad of [bytes.subarray(1), bytes.with(0, 2), new Uint8Array(0), new Uint8Array([...bytes, 0])]) {
      assert.throws(() => decodeCertificate(bad), { code: 'MALFORMED' })
    }
    const json = certificateToJson(certificate)
    const wrong = [
      null,
      [],
      'certificate',
      { ...json, era: 0 },
      { ...json, era: '0x100000000' },
      { ...json, height: '5' },
      { ...json, height: `0x1${'0'.repeat(16)}` },
      { ...json, headerHash: '0x' },
      { ...json, signature: json.headerHash },
      { ...json, signers: undefined },
    ]
    for (const bad of wrong) assert.throws(() => certificateFromJson(bad), { code: 'MALFORMED' })
  })
})

describe('what members sign', () => {
  it('is drawn in bytes, and votes and coins start differently', () => {
    const vote = voteMessage({ chainId: 0x0102, era: 3, height: 4n, headerHash: hashOf(9) })
    const text = (domain: string) => Buffer.from(domain).toString('hex')
    assert.equal(vote.toHex(), `${text('cumulus/vote/1')}0201000000000000030000000400000000000000${'09'.repeat(32)}`)
    assert.equal(
      coinMessage({ chainId: 0x0102, era: 3, round: 5 }).toHex(),
      `${text('cumulus/coin/1')}02010000000000000300000005000000`,
    )
  })
})
