import assert from 'node:assert/strict'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createLogger } from '@cumulus/service'
import { deriveDataKeys, deriveOwnerKeys, unwrapKey, wrapKey } from '../src/owner-keys.ts'
import { addUser, type GatewayUser, UsersFile } from '../src/users.ts'
import { until } from './support/network.ts'

const log = createLogger({ name: 'test', level: 'error', write: () => {} })
const user = (name: string): GatewayUser => {
  const { dataKey, accessKey, secretKey } = deriveOwnerKeys(new Uint8Array(32).fill(name.charCodeAt(0)))
  const owner = `0x${'AB'.repeat(20)}`
  return { name, id: owner, email: '', owner, territory: '7', dataKey: dataKey.toHex(), accessKey, secretKey }
}

describe('keys of an owner', () => {
  it('come from the account key alone, and are as S3 clients want them', () => {
    const keys = deriveOwnerKeys(new Uint8Array(32).fill(1))
    assert.deepEqual(deriveOwnerKeys(new Uint8Array(32).fill(1)), keys)
    assert.match(keys.accessKey, /^[A-Z2-7]{20}$/)
    assert.match(keys.secretKey, /^[A-Za-z0-9_-]{40}$/)
    assert.notDeepEqual(deriveOwnerKeys(new Uint8Array(32).fill(2)).dataKey, keys.dataKey)
    assert.throws(() => deriveOwnerKeys(new Uint8Array(31)), RangeError)
  })

  it('wrap keys so that only the same owner unwraps them', () => {
    const mine = deriveDataKeys(new Uint8Array(32).fill(1)).wrapKey
    const other = deriveDataKeys(new Uint8Array(32).fill(2)).wrapKey
    const key = new Uint8Array(32).fill(9)
    const wrapped = wrapKey(mine, key)
    assert.equal(wrapped.length, 40)
    assert.deepEqual(unwrapKey(mine, wrapped), key)
    assert.throws(() => unwrapKey(other, wrapped))
  })
})

describe('the users file', () => {
  let path: string
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cumulus-users-'))
    path = join(folder, 'users.json')
  })
  after(() => rm(folder, { recursive: true }))

  it('is for its owner only, and is read again when it changes', async () => {
    const users = new UsersFile(path, log)
    await users.refresh()
    assert.equal(users.users.length, 0)
    const stop = new AbortController()
    let changes = 0
    const watching = users.watch(async () => void changes++, stop.signal)
    await addUser(path, user('alice'))
    await until(() => users.byAccessKey(user('alice').accessKey)?.displayName === 'alice')
    await addUser(path, user('bob'))
    await until(() => users.users.length === 2)
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    assert.equal(users.users[0]!.owner, `0x${'ab'.repeat(20)}`)
    await writeFile(path, '[{"name": "broken"}]')
    await new Promise((resolve) => setTimeout(resolve, 800))
    assert.equal(users.users.length, 2)
    assert.equal(changes, 2)
    stop.abort()
    await watching
  })
})
