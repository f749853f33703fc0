import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { presets } from '@cumulus/params'
import { createGenesis, parseGenesis, readGenesis, writeGenesis } from '../src/genesis-file.ts'
import { createDevelopmentCommittee } from '../src/member-keys.ts'

const address = `0x${'Ab'.repeat(20)}` as const
const valid = { version: 2, preset: 'dev', timeMs: 1_764_000_000_000, allocations: [{ address, balance: '5' }] }

const hex = (byte: number, count: number) => `0x${byte.toString(16).padStart(2, '0').repeat(count)}` as const

const committeeWith = (count: number) =>
  createDevelopmentCommittee(
    Array.from({ length: count }, (_, index) => ({
      account: hex(index, 20),
      address: `/ip4/127.0.0.1/tcp/${9100 + index}`,
    })),
  ).committee

const committee = committeeWith(4)
const coin = committee.coin as { mode: 'dealt'; publicKey: `0x${string}`; shareKeys: `0x${string}`[] }
const member = (index: number) => committee.members[index]!
const crowd = Array.from({ length: 32 }, () => member(0))

const attestation = { simulated: true, measurements: [hex(9, 32)] }

describe('a genesis file', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-genesis-'))
  })
  after(() => rm(dir, { recursive: true }))

  it('comes back from disk as it was written', async () => {
    const genesis = createGenesis({
      preset: 'minimal',
      timeMs: 1_764_000_000_000,
      allocations: [{ address, balance: 10n ** 24n }],
      committee,
      attestation,
    })
    await writeGenesis(join(dir, 'genesis.json'), genesis)
    assert.deepEqual(await readGenesis(join(dir, 'genesis.json')), genesis)
    assert.match(await readFile(join(dir, 'genesis.json'), 'utf8'), /"balance": "1000000000000000000000000"/)
  })

  it('gives out no more than the cap of all tokens', () => {
    const { supplyCap } = presets.dev.economy
    const other = `0x${'cd'.repeat(20)}`
    const of = (first: bigint, second: bigint) => ({
      ...valid,
      allocations: [
        { address, balance: String(first) },
        { address: other, balance: String(second) },
      ],
    })
    assert.equal(parseGenesis(of(supplyCap - 1n, 1n)).allocations.length, 2)
    assert.throws(() => parseGenesis(of(supplyCap, 1n)), {
      code: 'GENESIS_MALFORMED',
      message: /more than the cap of 10000000000000000000000000000/,
    })
  })

  it('that is wrong is refused with the name of the field', () => {
    const wrong: [object, string][] = [
      [{ version: 1 }, 'version'],
      [{ version: 3 }, 'version'],
      [{ preset: 'devnet' }, 'preset'],
      [{ preset: 'toString' }, 'preset'],
      [{ timeMs: '1764000000000' }, 'timeMs'],
      [{ timeMs: -1 }, 'timeMs'],
      [{ allocations: {} }, 'allocations'],
      [{ allocations: [{ address: '0x12', balance: '1' }] }, 'allocations[0].address'],
      [{ allocations: [{ address, balance: 5 }] }, 'allocations[0].balance'],
      [{ allocations: [{ address, balance: '-5' }] }, 'allocations[0].balance'],
      [
        {
          allocations: [
            { address, balance: '1' },
            { address: address.toLowerCase(), balance: '1' },
          ],
        },
        'allocations[1].address',
      ],
      [{ allocations: [{ address, balance: '9'.repeat(39) }] }, 'allocations'],
      [{ alocations: [] }, 'alocations'],
    ]
    assert.equal(parseGenesis(valid).allocations[0]!.balance, 5n)
    for (const [change, path] of wrong) refuses(change, path)
    for (const value of [null, [], 'genesis', 1])
      assert.throws(() => parseGenesis(value), { code: 'GENESIS_MALFORMED' })
  })

  it('names a committee of 1 to 31, each member once, with one share of the coin each', () => {
    for (const count of [1, 4, 31]) {
      const any = committeeWith(count)
      assert.deepEqual(parseGenesis({ ...valid, committee: any }).committee, any)
    }
    const inPublic = { ...committee, coin: { mode: 'public' } }
    assert.deepEqual(parseGenesis({ ...valid, committee: inPublic }).committee, inPublic)

    const withMember = (change: object) => ({ ...committee, members: [...committee.members.slice(0, 3), change] })
    const withCoin = (change: object) => ({ ...committee, coin: { ...committee.coin, ...change } })
    const wrong: [unknown, string][] = [
      [null, 'committee'],
      [{ ...committee, quorum: 3 }, 'committee.quorum'],
      [{ ...committee, members: [] }, 'committee.members'],
      [{ ...committee, members: crowd }, 'committee.members'],
      [{ ...committee, members: {} }, 'committee.members'],
      [withMember({ ...member(3), account: hex(2, 20) }), 'committee.members[3].account'],
      [withMember({ ...member(3), account: hex(3, 32) }), 'committee.members[3].account'],
      [withMember({ ...member(3), peerKey: member(0).peerKey }), 'committee.members[3].peerKey'],
      [withMember({ ...member(3), peerKey: 3 }), 'committee.members[3].peerKey'],
      [withMember({ ...member(3), blsKey: member(1).blsKey }), 'committee.members[3].blsKey'],
      [withMember({ ...member(3), blsKey: hex(3, 96) }), 'committee.members[3].blsKey'],
      [withMember({ ...member(3), blsKey: hex(3, 48) }), 'committee.members[3].blsProof'],
      [withMember({ ...member(3), blsProof: member(2).blsProof }), 'committee.members[3].blsProof'],
      [withMember({ ...member(3), blsProof: hex(3, 95) }), 'committee.members[3].blsProof'],
      [withMember({ ...member(3), blsProof: `0x${'zz'.repeat(96)}` }), 'committee.members[3].blsProof'],
      [withMember({ ...member(3), address: '127.0.0.1:9103' }), 'committee.members[3].address'],
      [withMember({ ...member(3), address: '/ip4/127.0.0.1/tcp/9102' }), 'committee.members[3].address'],
      [withMember({ ...member(3), stake: 1 }), 'committee.members[3].stake'],
      [withMember([]), 'committee.members[3]'],
      [{ members: committee.members }, 'committee.coin'],
      [withCoin({ mode: 'fair' }), 'committee.coin.mode'],
      [withCoin({ mode: 'public' }), 'committee.coin.publicKey'],
      [withCoin({ publicKey: '0x' }), 'committee.coin.publicKey'],
      [withCoin({ shareKeys: coin.shareKeys.slice(1) }), 'committee.coin.shareKeys'],
      [withCoin({ shareKeys: [...coin.shareKeys.slice(1), 4] }), 'committee.coin.shareKeys[3]'],
      [withCoin({ shareKeys: coin.shareKeys.toReversed() }), 'committee.coin'],
      [withCoin({ publicKey: coin.shareKeys[0] }), 'committee.coin'],
      [withCoin({ publicKey: hex(0, 48) }), 'committee.coin'],
    ]
    for (const [change, path] of wrong) refuses({ committee: change }, path)
  })

  it('names builds of TEE workers, or lets them be simulated', () => {
    refuses({ attestation: [] }, 'attestation')
    refuses({ attestation: { measurements: [] } }, 'attestation.simulated')
    refuses({ attestation: { simulated: false, measurements: hex(9, 32) } }, 'attestation.measurements')
    refuses({ attestation: { simulated: false, measurements: ['0x'] } }, 'attestation.measurements[0]')
    refuses({ attestation: { ...attestation, trusted: true } }, 'attestation.trusted')
  })

  it('of mainnet has no dealer and nothing simulated', () => {
    refuses({ preset: 'mainnet', committee }, 'committee.coin.mode')
    refuses({ preset: 'mainnet', attestation }, 'attestation.simulated')
    const real = {
      committee: { ...committee, coin: { mode: 'public' } },
      attestation: { simulated: false, measurements: [] },
    }
    assert.equal(parseGenesis({ ...valid, preset: 'mainnet', ...real }).preset, 'mainnet')
  })

  it('of version 1 is refused with what to do', () => {
    assert.throws(() => parseGenesis({ ...valid, version: 1 }), /version is 1: .* make the network anew/)
  })

  it('that is missing or not JSON has its own error', async () => {
    await assert.rejects(readGenesis(join(dir, 'nowhere.json')), { code: 'GENESIS_MISSING' })
    await writeFile(join(dir, 'cut.json'), '{"version": 1, "pres')
    await assert.rejects(readGenesis(join(dir, 'cut.json')), { code: 'GENESIS_MALFORMED' })
  })
})

function refuses(change: object, path: string): void {
  assert.throws(
    () => parseGenesis({ ...valid, ...change }),
    (error: { code: string; details: { path: string } }) => {
      assert.deepEqual([error.code, error.details.path], ['GENESIS_MALFORMED', path])
      return true
    },
  )
}
