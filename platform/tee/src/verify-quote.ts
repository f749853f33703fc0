import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { equalBytes, utf8Decode } from '@cumulus/bytes'
import { initSync, js_verify } from '@phala/dcap-qvl-web'
import { checkQeIdentity } from './qe-identity.ts'
import { type QuoteReport, readQuote } from './quote.ts'
import { TeeError, type TeeErrorCode } from './tee-error.ts'

export interface QuoteCheck {
  readonly quote: Uint8Array
  /** JSON with Intel's statements: see `COLLATERAL_FIELDS`. */
  readonly collateral: Uint8Array
  /** When it must hold: the time of a chain block, so that all who check agree. */
  readonly atSeconds: bigint
  /** 64 bytes that the quote must carry. */
  readonly reportData: Uint8Array
  readonly kind: 'sgx' | 'tdx'
  /** Whether governance has allowed a measurement. */
  readonly isAllowed: (measurement: Uint8Array) => boolean
}

export interface VerifiedQuote extends QuoteReport {
  /** Intel's word on the platform, such as `UpToDate`. */
  readonly tcbStatus: string
  readonly advisories: readonly string[]
}

/** What collateral consists of: as dcap-qvl and Intel's PCCS name it. Byte strings are hex. */
export const COLLATERAL_FIELDS = [
  'pck_crl_issuer_chain',
  'root_ca_crl',
  'pck_crl',
  'tcb_info_issuer_chain',
  'tcb_info',
  'tcb_info_signature',
  'qe_identity_issuer_chain',
  'qe_identity',
  'qe_identity_signature',
] as const

const HEX_FIELDS = new Set<string>(['root_ca_crl', 'pck_crl', 'tcb_info_signature', 'qe_identity_signature'])
const COLLATERAL_BYTES_MAX = 96 * 2 ** 10

/**
 * Levels that are accepted: the platform has all updates, or all that matter are in the software, which the measurement names.
 * What is out of date, revoked or wrongly configured has known holes.
 */
const ACCEPTED_LEVELS = new Set(['UpToDate', 'SWHardeningNeeded'])

/**
 * Verifies a DCAP quote offline: its signature and certificates up to Intel's root, revocation lists, level of the platform,
 * the quoting enclave, then what it was made for and what code made it. Some 10 ms.
 *
 * @throws TeeError with a code that says which of these does not hold
 */
export function verifyQuote(check: QuoteCheck): VerifiedQuote {
  const report = readQuote(check.quote)
  if (report.kind !== check.kind) {
    throw new TeeError('OTHER_KIND', `an ${report.kind} quote where ${check.kind} was claimed`)
  }
  const collateral = readCollateral(check.collateral)
  const { status, advisory_ids: advisories = [] } = verifyByLibrary(check.quote, collateral, check.atSeconds)
  checkQeIdentity(check.quote, check.kind, collateral, check.atSeconds)
  if (!ACCEPTED_LEVELS.has(status)) {
    throw new TeeError('OUT_OF_DATE', `the platform is ${status}`, { status, advisories })
  }
  if (report.isDebug) throw new TeeError('DEBUG_ENCLAVE', 'a debug enclave protects nothing')
  if (!equalBytes(report.reportData, check.reportData)) {
    throw new TeeError('OTHER_REPORT_DATA', 'the quote was made for another key, account, chain or block')
  }
  if (!check.isAllowed(report.measurement)) {
    throw new TeeError('UNKNOWN_MEASUREMENT', 'nobody has allowed this code', { measurement: report.measurement })
  }
  return { ...report, tcbStatus: status, advisories }
}

/** @throws TeeError MALFORMED_COLLATERAL */
function readCollateral(bytes: Uint8Array): Record<string, string> {
  const malformed = (message: string, cause?: unknown) => new TeeError('MALFORMED_COLLATERAL', message, {}, { cause })
  if (bytes.length > COLLATERAL_BYTES_MAX) throw malformed(`collateral of ${bytes.length} bytes`)
  let parsed: unknown
  try {
    parsed = JSON.parse(utf8Decode(bytes))
  } catch (cause) {
    throw malformed('collateral is no JSON', cause)
  }
  if (typeof parsed !== 'object' || parsed === null) throw malformed('collateral is no object')
  const collateral: Record<string, string> = {}
  for (const field of COLLATERAL_FIELDS) {
    const value = (parsed as Record<string, unknown>)[field]
    if (typeof value !== 'string') throw malformed(`collateral has no ${field}`)
    if (HEX_FIELDS.has(field) && !/^([0-9a-f]{2})*$/i.test(value)) throw malformed(`${field} is not hex`)
    collateral[field] = value
  }
  return collateral
}

let isLoaded = false

function verifyByLibrary(
  quote: Uint8Array,
  collateral: object,
  atSeconds: bigint,
): { status: string; advisory_ids?: string[] } {
  if (!isLoaded) {
    // Made for browsers: it would fetch its own binary.
    const path = createRequire(import.meta.url).resolve('@phala/dcap-qvl-web/dcap-qvl-web_bg.wasm')
    initSync({ module: readFileSync(path) })
    isLoaded = true
  }
  try {
    return js_verify(quote, collateral, atSeconds) as { status: string; advisory_ids?: string[] }
  } catch (cause) {
    const message = typeof cause === 'string' ? cause : ((cause as Error).message ?? String(cause))
    throw new TeeError(codeOf(message), message, {}, { cause })
  }
}

/** The library gives text: its words are sorted here, and what is not known is refused all the same. */
function codeOf(message: string): TeeErrorCode {
  const known: [RegExp, TeeErrorCode][] = [
    [/expired|not valid yet|NotValidYet|CrlExpired/i, 'EXPIRED'],
    [/revoked/i, 'REVOKED'],
    [/debug/i, 'DEBUG_ENCLAVE'],
    [/decode.*collateral|collateral.*decode/i, 'MALFORMED_COLLATERAL'],
    [/signature|certificate chain|UnknownIssuer|mismatch|report hash/i, 'BAD_SIGNATURE'],
    [/decode|unsupported|invalid tee|cert type|trailing/i, 'MALFORMED_QUOTE'],
  ]
  return known.find(([pattern]) => pattern.test(message))?.[1] ?? 'REFUSED'
}
