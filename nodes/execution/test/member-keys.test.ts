import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { bytesToHex, utf8Encode } from '@cumulus/bytes'
import { PeerIdentity } from '@cumulus/network'
import { combine, verifyShare } from '@cumulus/threshold'
import { coinKeyOf, committeeOf } from '../src/genesis-committee.ts'
import { createGenesis } from '../src/genesis-file.ts'
import { createDevelopmentCommittee, readBlsKey, readCoinShare, writeMemberKeys } from '../src/member-keys.ts'

const placesOf = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    account: `0x${(index + 1).toString(16).padStart(40, '0')}` as const,
    address: `/ip4/127.0.0.1/tcp/${9100 + index}`,
  }))
const genesisOf = (count: number) => {
  const { committee, keys } = createDevelopmentCommittee(placesOf(count))
  return { keys, genesis: createGenesis({ preset: 'dev', timeMs: 1, allocations: [], committee }) }
}

describe('keys of members', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-keys-'))
  })
  after(() => rm(dir, { recursive: true }))

  it('come back from their folder, and are those of the genesis', async () => {
    const { keys, genesis } = genesisOf(4)
    const [committee, coin] = [committeeOf(genesis)!, coinKeyOf(genesis)!]
    assert.deepEqual([committee.era, committee.quorum, coin.threshold], [0, 3, 3])
    const message = utf8Encode('round 1')
    const shares = []
    for (const [index, secrets] of keys.entries()) {
      const folder = join(dir, `${index}`)
      await writeMemberKeys(folder, secrets)
      for (const name of ['peer.key', 'bls.key', 'coin.key']) {
        assert.equal((await stat(join(folder, name))).mode & 0o777, 0o600)
      }
      const member = committee.members[index]!
      assert.deepEqual((await PeerIdentity.loadOrCreate(folder)).publicKey, member.peerKey)
      assert.deepEqual((await readBlsKey(folder)).publicKey, member.blsKey)
      const share = { index, signature: (await readCoinShare(folder)).sign(message) }
      assert(verifyShare(coin, message, share))
      shares.push(share)
    }
    assert(combine(coin, message, shares.slice(1)).signature)
  })

  it('of fewer than four come with a public coin', () => {
    const { keys, genesis } = genesisOf(3)
    assert.equal(coinKeyOf(genesis), undefined)
    assert.equal(keys[0]!.coinShare, undefined)
    assert.equal(committeeOf(createGenesis({ preset: 'dev', timeMs: 1, allocations: [] })), undefined)
  })

  it('that are missing, open to others or no keys are refused, and not shown', async () => {
    const folder = join(dir, 'bad')
    await assert.rejects(readBlsKey(folder), { code: 'KEY_FILE' })
    const { keys } = genesisOf(4)
    await writeMemberKeys(folder, keys[0]!)
    await chmod(join(folder, 'bls.key'), 0o640)
    await assert.rejects(readBlsKey(folder), { code: 'KEY_FILE' })
    for (const text of ['', 'secret', `${'0'.repeat(64)}\n`, `${'f'.repeat(64)}\n`, `${'1'.repeat(66)}\n`]) {
      await writeFile(join(folder, 'coin.key'), text)
      await assert.rejects(readCoinShare(folder), (error: Error & { code: string }) => {
        assert.equal(error.code, 'KEY_FILE')
        assert(!error.message.includes('secret') && !error.message.includes(bytesToHex(keys[0]!.blsSeed)))
        return true
      })
    }
  })
})
