import assert from 'node:assert/strict'
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { verifyEd25519 } from '@cumulus/signature'
import { PeerIdentity, peerIdOf, publicKeyOf } from '../src/index.ts'

describe('a peer identity', () => {
  let root: string
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'cumulus-network-'))
  })
  after(() => rm(root, { recursive: true }))

  it('has the id that libp2p gives its key', () => {
    // Key and id of test vector 1 of the libp2p TLS specification.
    const key = Uint8Array.fromHex('7fda21856709c5ae12fd6e8450623f15f11955d384212b89f56e7e136d2e1728')
    const id = '12D3KooWJRSrypvnpHgc6ZAgyCni4KcSmbV7uGRaMw5LgMKT18fq'
    assert.equal(peerIdOf(key), id)
    assert.deepEqual(publicKeyOf(id), key)
  })

  it('cannot be read from what is no Ed25519 peer id', () => {
    for (const id of ['', 'nonsense', 'QmZcrvr3r4S3QvwFdae3c2EWTfo792Y14UpzCZurhmiWeX']) {
      assert.throws(() => publicKeyOf(id), { code: 'BAD_ADDRESS' })
    }
  })

  it('signs with its key', () => {
    const identity = new PeerIdentity(new Uint8Array(32).fill(5))
    const message = Uint8Array.of(1, 2, 3)
    assert.equal(verifyEd25519(identity.sign(message), message, identity.publicKey), true)
  })

  it('is made once for a folder, readable by its owner only, with nothing left beside it', async () => {
    const folder = join(root, 'new', 'deep')
    const [first, second] = await Promise.all([PeerIdentity.loadOrCreate(folder), PeerIdentity.loadOrCreate(folder)])
    assert.equal(first.peerId, second.peerId)
    assert.equal((await PeerIdentity.loadOrCreate(folder)).peerId, first.peerId)
    assert.deepEqual(await readdir(folder), ['peer.key'])
    assert.equal((await stat(join(folder, 'peer.key'))).mode & 0o777, 0o600)
  })

  it('is not taken from a file that others may read', async () => {
    const folder = join(root, 'open')
    await PeerIdentity.loadOrCreate(folder)
    await chmod(join(folder, 'peer.key'), 0o644)
    await assert.rejects(PeerIdentity.loadOrCreate(folder), { code: 'IDENTITY' })
  })

  it('is never replaced: a damaged file is an error that does not show its contents', async () => {
    const folder = join(root, 'damaged')
    await PeerIdentity.loadOrCreate(folder)
    await writeFile(join(folder, 'peer.key'), 'abc')
    await assert.rejects(PeerIdentity.loadOrCreate(folder), (error: Error & { code: string }) => {
      return error.code === 'IDENTITY' && !error.message.includes('abc')
    })
    assert.equal(await readFile(join(folder, 'peer.key'), 'utf8'), 'abc')
  })
})
