import { createHash } from 'node:crypto'
import { bytesToHex, concatBytes, utf8Encode } from '@cumulus/bytes'
import { TeeError } from './tee-error.ts'

/** What an enclave says of itself, before anybody has checked that it may. */
export interface QuoteReport {
  readonly kind: 'sgx' | 'tdx'
  /** 32 bytes: which code runs. SGX: MRENCLAVE. TDX: see `tdxMeasurement`. */
  readonly measurement: Uint8Array
  /** 64 bytes that the enclave chose. */
  readonly reportData: Uint8Array
  /** Its memory may be looked into. */
  readonly isDebug: boolean
}

const HEADER_BYTES = 48
const SGX_BODY_BYTES = 384
const TD10_BODY_BYTES = 584
const SGX = 0x0000_0000
const TDX = 0x0000_0081
/** A quote with its certificates takes 5 KB. */
const QUOTE_BYTES_MAX = 16 * 2 ** 10
const TDX_DOMAIN = utf8Encode('cumulus/tee/tdx-measurement/1')

/**
 * Reads the report of a quote of version 3 or 4 (SGX) or 4 (TDX 1.0). Nothing is checked but its shape.
 *
 *     header, 48      version u16 ‖ key type u16 ‖ TEE type u32 (0 SGX, 0x81 TDX) ‖ …
 *     SGX body, 384   … attributes at 48, MRENCLAVE at 64, report data at 320
 *     TDX body, 584   … TD attributes at 120, MRTD at 136, RTMR 0 to 3 at 328, report data at 520
 *
 * Source: Intel SGX DCAP quote library, `sgx_quote_3.h`, `sgx_quote_4.h`.
 *
 * @throws TeeError MALFORMED_QUOTE
 */
export function readQuote(quote: Uint8Array): QuoteReport {
  if (quote.length < HEADER_BYTES + SGX_BODY_BYTES || quote.length > QUOTE_BYTES_MAX) {
    throw new TeeError('MALFORMED_QUOTE', 'not the length of a quote', { bytes: quote.length })
  }
  const view = new DataView(quote.buffer, quote.byteOffset, quote.byteLength)
  const version = view.getUint16(0, true)
  const teeType = version === 3 ? SGX : view.getUint32(4, true)
  const isKnown = (version === 3 || version === 4) && (teeType === SGX || teeType === TDX)
  if (!isKnown) throw new TeeError('MALFORMED_QUOTE', 'a quote of an unknown kind', { version, teeType })
  const body = quote.subarray(HEADER_BYTES)
  if (teeType === SGX) {
    // Bit 1 of the attributes.
    const isDebug = ((body[48]! >> 1) & 1) === 1
    return { kind: 'sgx', measurement: body.slice(64, 96), reportData: body.slice(320, 384), isDebug }
  }
  if (body.length < TD10_BODY_BYTES) {
    throw new TeeError('MALFORMED_QUOTE', 'a quote is shorter than its report', { bytes: quote.length })
  }
  // Byte 0 of the attributes is the group TUD: anything in it leaves the TD open to the host.
  const isDebug = body[120] !== 0
  const measurement = tdxMeasurement(body.subarray(136, 184), body.subarray(328, 520))
  return { kind: 'tdx', measurement, reportData: body.slice(520, 584), isDebug }
}

/**
 * What the allow-list names of a trust domain: SHA-256 over domain ‖ MRTD 48 ‖ RTMR 0 to 3, 48 each. MRTD alone measures
 * the firmware: what that has loaded, and the application, stand in the run-time registers.
 */
export function tdxMeasurement(mrtd: Uint8Array, rtmrs: Uint8Array): Uint8Array {
  return new Uint8Array(
    createHash('sha256')
      .update(concatBytes(TDX_DOMAIN, mrtd, rtmrs))
      .digest(),
  )
}

/** As contracts and configuration write it. */
export function measurementHex(report: QuoteReport): `0x${string}` {
  return bytesToHex(report.measurement)
}
