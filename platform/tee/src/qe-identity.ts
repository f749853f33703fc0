import { createVerify, X509Certificate } from 'node:crypto'
import { equalBytes } from '@cumulus/bytes'
import { TeeError } from './tee-error.ts'

/**
 * Whether the quoting enclave that signed a quote is Intel's and up to date. dcap-qvl 0.3.3, the only version of it in
 * WebAssembly, does not look at the identity of the quoting enclave: a quote could be signed in any enclave of the platform.
 */

/** What collateral says of quoting enclaves, signed by Intel. */
interface QeIdentity {
  readonly id: string
  readonly version: number
  readonly issueDate: string
  readonly nextUpdate: string
  readonly miscselect: string
  readonly miscselectMask: string
  readonly attributes: string
  readonly attributesMask: string
  readonly mrsigner: string
  readonly isvprodid: number
  readonly tcbLevels: readonly { readonly tcb: { readonly isvsvn: number }; readonly tcbStatus: string }[]
}

const HEADER_BYTES = 48
const SGX_BODY_BYTES = 384
const TD10_BODY_BYTES = 584
const SIGNATURE_BYTES = 64
const QE_REPORT_BYTES = 384

/**
 * Checks Intel's statement on quoting enclaves, and the report of the one that signed the quote against it. The chain of
 * certificates must be that of the TCB info, which the library has verified up to Intel's root.
 *
 * @throws TeeError BAD_SIGNATURE, EXPIRED, OUT_OF_DATE, MALFORMED_QUOTE, MALFORMED_COLLATERAL
 */
export function checkQeIdentity(
  quote: Uint8Array,
  kind: 'sgx' | 'tdx',
  collateral: Readonly<Record<string, string>>,
  atSeconds: bigint,
): void {
  const text = collateral['qe_identity']!
  const chain = collateral['qe_identity_issuer_chain']!
  if (chain.trim() !== collateral['tcb_info_issuer_chain']!.trim()) {
    throw new TeeError(
      'BAD_SIGNATURE',
      'the identity of the quoting enclave is signed by another chain than the TCB info',
    )
  }
  const signature = Buffer.from(collateral['qe_identity_signature']!, 'hex')
  let isSigned: boolean
  try {
    const key = new X509Certificate(chain).publicKey
    isSigned = createVerify('sha256').update(text).verify({ key, dsaEncoding: 'ieee-p1363' }, signature)
  } catch (cause) {
    throw new TeeError('MALFORMED_COLLATERAL', 'the chain of the quoting enclave does not decode', {}, { cause })
  }
  if (!isSigned) throw new TeeError('BAD_SIGNATURE', 'Intel did not sign this identity of the quoting enclave')

  // Signed by Intel: its shape is Intel's.
  const identity = JSON.parse(text) as QeIdentity
  if (identity.version !== 2 || identity.id !== (kind === 'tdx' ? 'TD_QE' : 'QE')) {
    throw new TeeError('MALFORMED_COLLATERAL', 'the identity is of another quoting enclave', { id: identity.id })
  }
  const atMs = Number(atSeconds) * 1000
  if (atMs < Date.parse(identity.issueDate) || atMs > Date.parse(identity.nextUpdate)) {
    throw new TeeError('EXPIRED', 'the identity of the quoting enclave is not in force', { until: identity.nextUpdate })
  }
  const report = qeReport(quote, kind)
  const view = new DataView(report.buffer, report.byteOffset, report.byteLength)
  const isIntels =
    isMasked(report.subarray(16, 20), identity.miscselect, identity.miscselectMask) &&
    isMasked(report.subarray(48, 64), identity.attributes, identity.attributesMask) &&
    equalBytes(report.subarray(128, 160), Buffer.from(identity.mrsigner, 'hex')) &&
    view.getUint16(256, true) === identity.isvprodid
  if (!isIntels)
    throw new TeeError('BAD_SIGNATURE', 'the quote was signed in an enclave that is not Intel’s quoting enclave')
  const version = view.getUint16(258, true)
  const level = identity.tcbLevels.find(({ tcb }) => tcb.isvsvn <= version)
  if (level?.tcbStatus !== 'UpToDate') {
    throw new TeeError('OUT_OF_DATE', `the quoting enclave is ${level?.tcbStatus ?? 'unknown'}`, { version })
  }
}

/**
 * Report of the quoting enclave. Behind the body come: length u32 ‖ signature 64 ‖ key 64, then, from version 4 on, type u16 and
 * length u32 of certification data, then the report.
 */
function qeReport(quote: Uint8Array, kind: 'sgx' | 'tdx'): Uint8Array {
  const version = new DataView(quote.buffer, quote.byteOffset, quote.byteLength).getUint16(0, true)
  const body = kind === 'tdx' ? TD10_BODY_BYTES : SGX_BODY_BYTES
  const at = HEADER_BYTES + body + 4 + 2 * SIGNATURE_BYTES + (version >= 4 ? 6 : 0)
  if (quote.length < at + QE_REPORT_BYTES) throw new TeeError('MALFORMED_QUOTE', 'a quote without its quoting enclave')
  return quote.subarray(at, at + QE_REPORT_BYTES)
}

function isMasked(value: Uint8Array, expectedHex: string, maskHex: string): boolean {
  const expected = Buffer.from(expectedHex, 'hex')
  const mask = Buffer.from(maskHex, 'hex')
  if (expected.length !== value.length || mask.length !== value.length) return false
  return value.every((byte, i) => (byte & mask[i]!) === (expected[i]! & mask[i]!))
}
