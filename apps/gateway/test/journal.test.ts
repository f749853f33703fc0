import assert from 'node:assert/strict'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { DecodeError } from '@cumulus/bytes'
import fc from 'fast-check'
import { decodeMutations, encodeMutations, type Mutation } from '../src/journal/mutation.ts'
import {
  decodeJournal,
  decodePackFooter,
  decodePackHeader,
  encodeEntry,
  encodePackHeader,
  openRecord,
  PACK_FOOTER_BYTES,
  type PackHeader,
  parseEntries,
  sealedPackBytes,
  sealPack,
  sealRecord,
} from '../src/journal/pack-format.ts'
import { PackLog } from '../src/journal/pack-log.ts'

const record = <Model extends object>(model: { [Name in keyof Model]: fc.Arbitrary<Model[Name]> }) =>
  fc.record<Model>(model, { noNullPrototype: true })
const text = fc.string({ maxLength: 40, unit: 'binary' })
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const count = fc.nat(2 ** 40)
const metadata = fc.dictionary(
  text.filter((name) => name !== '__proto__'),
  text,
  { maxKeys: 4, noNullPrototype: true },
)
const checksum = fc.option(
  record({
    algorithm: fc.constantFrom('CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'),
    type: fc.constantFrom('FULL_OBJECT', 'COMPOSITE'),
    value: text,
  }),
  { nil: undefined },
)
const extent = record({ segment: count, offset: fc.nat(2 ** 30), length: fc.nat(2 ** 30) })
const part = record({ wrappedKey: bytes(40), size: count, extents: fc.array(extent, { maxLength: 5 }) })
const object = record({
  size: count,
  modifiedMs: count,
  etag: text,
  owner: text,
  uploadId: text,
  metadata,
  checksum,
  parts: fc.array(part, { maxLength: 4 }),
})
const named = { bucket: text, key: text }
const anyMutation = fc.oneof(
  record({ kind: fc.constant('bucket-set'), bucket: text, value: record({ createdMs: count, region: text }) }),
  record({ kind: fc.constant('bucket-delete'), bucket: text }),
  record({ kind: fc.constant('object-set'), ...named, value: object }),
  record({ kind: fc.constant('object-delete'), ...named }),
  record({ kind: fc.constant('upload-delete'), ...named, uploadId: text }),
  record({
    kind: fc.constant('part-set'),
    ...named,
    uploadId: text,
    partNumber: fc.nat(10_000),
    value: record({ etag: text, modifiedMs: count, checksum, part }),
  }),
  record({
    kind: fc.constant('segment-set'),
    value: record({
      segment: count,
      kind: fc.constantFrom(0, 1),
      group: fc.nat(2 ** 31),
      stripe: fc.nat(2 ** 31),
      reservation: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      descriptor: bytes(60),
      seats: fc.nat(4095),
      signatures: bytes(128),
      users: fc.array(record(named), { maxLength: 3 }),
    }),
  }),
  record({ kind: fc.constant('void'), sequences: fc.array(count, { maxLength: 5 }) }),
) as fc.Arbitrary<Mutation>

const key = new Uint8Array(32).fill(7)
const header: PackHeader = { chainId: 27_103, territory: 5n, segment: 2 ** 32 + 3, salt: new Uint8Array(16).fill(9) }

describe('a journal record', () => {
  it('says what was said', () => {
    fc.assert(
      fc.property(fc.array(anyMutation, { maxLength: 6 }), (mutations) => {
        assert.deepEqual(decodeMutations(encodeMutations(mutations)), mutations)
        const record = sealRecord(key, 3, 4, mutations)
        assert.deepEqual(openRecord(key, 3, 4, record), mutations)
      }),
    )
  })

  it('cannot be read with another key, in another pack, at another place or with a flipped bit', () => {
    const record = sealRecord(key, 3, 4, [{ kind: 'bucket-delete', bucket: 'b' }])
    assert.throws(() => openRecord(new Uint8Array(32), 3, 4, record), DecodeError)
    assert.throws(() => openRecord(key, 2, 4, record), DecodeError)
    assert.throws(() => openRecord(key, 3, 5, record), DecodeError)
    for (let at = 0; at < record.length; at++) {
      const changed = record.slice()
      changed[at]! ^= 1
      assert.throws(() => openRecord(key, 3, 4, changed), DecodeError)
    }
  })

  it('of garbage is refused with a DecodeError, whatever the garbage', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
        for (const decode of [decodeMutations, decodePackHeader, decodePackFooter]) {
          try {
            decode(garbage)
          } catch (error) {
            assert.ok(error instanceof DecodeError, String(error))
          }
        }
      }),
      { numRuns: 500 },
    )
  })

  it('that was changed in one byte is refused or means something else, but never breaks the decoder', () => {
    fc.assert(
      fc.property(anyMutation, fc.nat(), fc.nat(255), (mutation, at, value) => {
        const encoded = encodeMutations([mutation])
        encoded[at % encoded.length] = value
        try {
          decodeMutations(encoded)
        } catch (error) {
          assert.ok(error instanceof DecodeError, String(error))
        }
      }),
      { numRuns: 500 },
    )
  })
})

const anyEntries = fc.array(record({ data: fc.uint8Array({ maxLength: 300 }), mutation: anyMutation }), {
  minLength: 1,
  maxLength: 8,
})

function logOf(entries: readonly { data: Uint8Array; mutation: Mutation }[]): Uint8Array {
  return Buffer.concat([
    encodePackHeader(header),
    ...entries.flatMap(({ data, mutation }, i) =>
      encodeEntry(i + 1, [data], sealRecord(key, header.segment, i + 1, [mutation])),
    ),
  ])
}

describe('a pack', () => {
  it('is read from its log up to where the log was cut', () => {
    fc.assert(
      fc.property(anyEntries, fc.double({ min: 0, max: 1, noNaN: true }), (entries, share) => {
        const log = logOf(entries)
        assert.deepEqual(decodePackHeader(log), header)
        const whole = parseEntries(log)
        assert.equal(whole.end, log.length)
        const cut = 64 + Math.floor((log.length - 64) * share)
        const { entries: found, end } = parseEntries(log.subarray(0, cut))
        assert.ok(end <= cut)
        assert.deepEqual(
          found.map(({ sequence }) => sequence),
          whole.entries.slice(0, found.length).map(({ sequence }) => sequence),
        )
      }),
    )
  })

  it('sealed holds all data in order, and its journal verifies against the digest only', () => {
    fc.assert(
      fc.property(anyEntries, (entries) => {
        const log = logOf(entries)
        const parsed = parseEntries(log).entries
        const target = new Uint8Array(log.length + 1000)
        const { length, journalDigest } = sealPack(header, log, parsed, target)
        const dataBytes = parsed.reduce((sum, { dataLength }) => sum + dataLength, 0)
        const recordBytes = parsed.reduce((sum, { record }) => sum + record.length, 0)
        assert.equal(length, sealedPackBytes(dataBytes, recordBytes, parsed.length))
        const footerBytes = target.subarray(length - PACK_FOOTER_BYTES, length)
        const footer = decodePackFooter(footerBytes)
        assert.equal(footer.segment, header.segment)
        assert.deepEqual(
          Buffer.from(target.subarray(0, footer.dataLength)),
          Buffer.concat(entries.map(({ data }) => data)),
        )
        const journal = target.subarray(footer.dataLength, length - PACK_FOOTER_BYTES)
        const records = decodeJournal(journal, footerBytes, journalDigest)
        assert.deepEqual(
          records.flatMap(({ sequence, record }) => openRecord(key, header.segment, sequence, record)),
          entries.map(({ mutation }) => mutation),
        )
        const wrong = journalDigest.slice()
        wrong[0]! ^= 1
        assert.throws(() => decodeJournal(journal, footerBytes, wrong), DecodeError)
      }),
    )
  })
})

describe('a pack log on disk', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cumulus-pack-'))
  })
  after(() => rm(folder, { recursive: true }))

  it('is cut behind its last whole entry when it is opened, and goes on from there', async () => {
    const path = join(folder, 'a.log')
    const log = await PackLog.create(path, header)
    const entry = Buffer.concat(encodeEntry(1, [new Uint8Array(100).fill(5)], sealRecord(key, header.segment, 1, [])))
    const place = { dataLength: 100, recordLength: entry.length - 120, dataStart: 64 + 20 }
    await log.append(entry, [place])
    await log.sync()
    const end = log.length
    await log.close()
    const file = await open(path, 'a')
    await file.write(new Uint8Array(77).fill(3))
    await file.close()
    const again = await PackLog.load(path)
    assert.equal(again.log.length, end)
    assert.equal(again.entries.length, 1)
    const target = new Uint8Array(10)
    await again.log.read(90, target)
    assert.deepEqual(target, new Uint8Array(10).fill(5))
    await again.log.append(entry, [{ ...place, dataStart: end + 20 }])
    await again.log.read(190, target)
    assert.deepEqual(target, new Uint8Array(10).fill(5))
    await again.log.close()
  })

  it('refuses a file that is no log', async () => {
    const path = join(folder, 'b.log')
    const file = await open(path, 'w')
    await file.write(new Uint8Array(200).fill(3))
    await file.close()
    await assert.rejects(PackLog.load(path), DecodeError)
  })
})
