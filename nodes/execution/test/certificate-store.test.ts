import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { CertificateStore } from '../src/certificate-store.ts'

describe('the store of certificates', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'cumulus-certificates-'))
  })
  after(() => rm(dir, { recursive: true }))
  const bytes = (value: number) => new Uint8Array(145).fill(value)

  it('knows its highest one, and the first at or above a height, before and after it was opened anew', async () => {
    let store = new CertificateStore(dir)
    assert.equal(store.highest, undefined)
    assert.equal(store.atOrAbove(0n), undefined)
    for (const height of [300n, 7n, 20n]) store.put(height, bytes(Number(height % 251n)))
    for (let round = 0; round < 2; round++) {
      assert.equal(store.highest, 300n)
      assert.deepEqual(new Uint8Array(store.at(20n)!), bytes(20))
      assert.equal(store.at(21n), undefined)
      assert.equal(store.atOrAbove(8n)?.height, 20n)
      assert.equal(store.atOrAbove(20n)?.height, 20n)
      assert.deepEqual(new Uint8Array(store.atOrAbove(21n)!.certificate), bytes(300 % 251))
      assert.equal(store.atOrAbove(301n), undefined)
      await store.close()
      store = new CertificateStore(dir)
    }
    await store.close()
  })

  it('does not keep what its caller changes later', async () => {
    const store = new CertificateStore(dir)
    const mine = bytes(1)
    store.put(400n, mine)
    mine.fill(9)
    assert.deepEqual(new Uint8Array(store.at(400n)!), bytes(1))
    await store.close()
  })
})
