import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readSettings } from '@cumulus/service'
import { validatorConfigOf } from '../src/commands/roles.ts'
import { validatorSettings } from '../src/role-settings.ts'

describe('the settings of a validator', () => {
  const configOf = (flags: Record<string, string>) =>
    validatorConfigOf(readSettings(validatorSettings, { flags, env: {} }))

  it('name the least time between its own blocks, and leave it to the size of the committee otherwise', () => {
    assert.deepEqual(configOf({ roundMsMin: '50' }).pace, { minRoundMs: 50 })
    assert.equal(configOf({}).pace, undefined)
    assert.throws(() => configOf({ roundMsMin: '0' }), /--round-ms-min/)
  })

  it('say where it is reached', () => {
    const { rpc, peer, gossip } = configOf({ rpcPort: '1', peerHost: 'a', peerPort: '2', libp2pPort: '3' })
    assert.deepEqual([rpc.port, peer, gossip?.port], [1, { host: 'a', port: 2 }, 3])
    assert.throws(() => configOf({ peerHost: 'a' }), { code: 'BAD_SETTING' })
  })
})
