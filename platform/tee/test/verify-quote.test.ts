import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { equalBytes, hexToBytes, utf8Encode } from '@cumulus/bytes'
import {
  gramineQuotes,
  type QuoteCheck,
  readQuote,
  reportData,
  TeeError,
  type TeeErrorCode,
  verifyQuote,
} from '../src/index.ts'

// A quote of a real trust domain, and what Intel said of its platform in September 2025: from the tests of
// https://github.com/Phala-Network/dcap-qvl (tests/near/contracts/gas-test/tests/quote), MIT.
const vector = (name: string) => readFile(new URL(`./vectors/${name}`, import.meta.url), 'utf8')
const quote = hexToBytes(`0x${(await vector('tdx-quote.hex')).trim()}`)
const collateral = JSON.parse(await vector('tdx-collateral.json')) as Record<string, string>
const SEPTEMBER = BigInt(Date.parse('2025-09-10T00:00:00Z') / 1000)
const report = readQuote(quote)
/** Header and report of the domain; its signature and the key; report of the quoting enclave and its signature; what that signs besides. */
const SIGNED_RANGES = [
  [0, 632],
  [636, 764],
  [770, 1_218],
  [1_220, 1_252],
] as const

const check = (change: Partial<QuoteCheck> = {}): QuoteCheck => ({
  quote,
  collateral: utf8Encode(JSON.stringify(collateral)),
  atSeconds: SEPTEMBER,
  reportData: report.reportData,
  kind: 'tdx',
  isAllowed: (measurement) => equalBytes(measurement, report.measurement),
  ...change,
})

const refused = (codes: TeeErrorCode | TeeErrorCode[], change: Partial<QuoteCheck>, what = '') =>
  assert.throws(
    () => verifyQuote(check(change)),
    (error) => error instanceof TeeError && [codes].flat().includes(error.code),
    what,
  )

const withField = (field: string, value: string) => utf8Encode(JSON.stringify({ ...collateral, [field]: value }))

describe('a quote of real hardware', () => {
  it('is accepted at a time when its collateral was in force', () => {
    const verified = verifyQuote(check())
    assert.equal(verified.tcbStatus, 'UpToDate')
    assert.equal(verified.kind, 'tdx')
    assert.equal(verified.isDebug, false)
    assert.equal(verified.measurement.length, 32)
  })

  it('is refused with any byte flipped that is signed', () => {
    // Between them are only lengths.
    const places = SIGNED_RANGES.flatMap(([from, to]) => Array.from({ length: to - from }, (_, i) => from + i))
    for (const at of places) {
      const bytes = quote.slice()
      bytes[at]! ^= 1 << (at & 7)
      refused(
        ['BAD_SIGNATURE', 'MALFORMED_QUOTE', 'REFUSED'],
        // Nothing else may be what refuses it.
        {
          quote: bytes,
          reportData: bytes.subarray(568, 632),
          kind: bytes[4] === quote[4] ? 'tdx' : 'sgx',
          isAllowed: () => true,
        },
        `byte ${at}`,
      )
    }
  })

  it('is refused with any statement of Intel changed', () => {
    refused(['BAD_SIGNATURE', 'REFUSED'], {
      collateral: withField('tcb_info', collateral['tcb_info']!.replace('UpToDate', 'uptodate')),
    })
    refused(['BAD_SIGNATURE', 'REFUSED'], {
      collateral: withField('qe_identity', collateral['qe_identity']!.replace('"isvsvn":4', '"isvsvn":1')),
    })
    const crl = collateral['pck_crl']!
    refused(['BAD_SIGNATURE', 'REFUSED'], { collateral: withField('pck_crl', `${crl.slice(0, -2)}00`) })
  })

  it('is refused before and after its collateral is in force', () => {
    refused('EXPIRED', { atSeconds: SEPTEMBER + 86_400n * 60n })
    refused(['EXPIRED', 'REFUSED', 'BAD_SIGNATURE'], { atSeconds: SEPTEMBER - 86_400n * 3650n })
  })

  it('is refused for another key, code that nobody has allowed, or another kind', () => {
    refused('OTHER_REPORT_DATA', { reportData: report.reportData.with(0, 99) })
    refused('UNKNOWN_MEASUREMENT', { isAllowed: () => false })
    refused('OTHER_KIND', { kind: 'sgx' })
  })

  it('is refused where it, or what comes with it, is not what it should be', () => {
    refused('MALFORMED_QUOTE', { quote: new Uint8Array(0) })
    refused('MALFORMED_QUOTE', { quote: quote.subarray(0, 500) })
    refused('MALFORMED_QUOTE', { quote: new Uint8Array(20_000) })
    refused('MALFORMED_QUOTE', { quote: quote.with(0, 9) })
    refused(['MALFORMED_QUOTE', 'REFUSED', 'BAD_SIGNATURE'], { quote: quote.subarray(0, 2_000) })
    refused('MALFORMED_COLLATERAL', { collateral: utf8Encode('no json') })
    refused('MALFORMED_COLLATERAL', { collateral: utf8Encode('null') })
    refused('MALFORMED_COLLATERAL', { collateral: new Uint8Array(100_000) })
    refused('MALFORMED_COLLATERAL', { collateral: withField('root_ca_crl', 'xyz') })
    const { qe_identity: _, ...rest } = collateral
    refused('MALFORMED_COLLATERAL', { collateral: utf8Encode(JSON.stringify(rest)) })
  })
})

describe('a report', () => {
  it('tells a debug enclave, of either kind', () => {
    assert.equal(readQuote(quote.with(48 + 120, 1)).isDebug, true)
    const sgx = new Uint8Array(1_000)
    sgx[0] = 3
    assert.equal(readQuote(sgx).isDebug, false)
    assert.equal(readQuote(sgx.with(48 + 48, 2)).isDebug, true)
    assert.equal(readQuote(sgx).kind, 'sgx')
  })

  it('of other firmware, or with anything else loaded, has another measurement', () => {
    const measurements = [0, 136, 328, 376, 424, 472].map((at) => {
      const bytes = quote.slice()
      if (at > 0) bytes[48 + at]! ^= 1
      return readQuote(bytes).measurement.toHex()
    })
    assert.equal(new Set(measurements).size, measurements.length)
  })
})

describe('report data', () => {
  it('is of one account, key, chain and block', () => {
    const subject = {
      chainId: 27_101,
      account: `0x${'11'.repeat(20)}` as const,
      peerKey: new Uint8Array(32).fill(1),
      taggerKey: new Uint8Array(288).fill(2),
      nonceBlock: 7n,
      nonceHash: new Uint8Array(32).fill(3),
    }
    const others = [
      subject,
      { ...subject, chainId: 27_102 },
      { ...subject, account: `0x${'12'.repeat(20)}` as const },
      { ...subject, peerKey: new Uint8Array(32).fill(9) },
      { ...subject, taggerKey: new Uint8Array(288).fill(9) },
      { ...subject, nonceBlock: 8n },
      { ...subject, nonceHash: new Uint8Array(32).fill(9) },
    ]
    assert.equal(new Set(others.map((one) => reportData(one).toHex())).size, others.length)
    assert.equal(reportData(subject).length, 64)
  })

  it('is handed to the enclave’s own interface, and without one it says so', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cumulus-tee-'))
    try {
      await writeFile(join(folder, 'quote'), 'a quote')
      const data = new Uint8Array(64).fill(7)
      assert.equal(Buffer.from(await gramineQuotes(folder).quote(data)).toString(), 'a quote')
      assert.ok(equalBytes(await readFile(join(folder, 'user_report_data')), data))
      const missing = gramineQuotes(join(folder, 'nowhere')).quote(data)
      await assert.rejects(missing, (error) => error instanceof TeeError && error.code === 'NO_HARDWARE')
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})
