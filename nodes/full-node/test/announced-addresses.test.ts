import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseAddresses } from '@cumulus/network'
import { announcedAddresses } from '../src/announced-addresses.ts'

describe('addresses that are announced', () => {
  it('are the one of the listener, or those of this machine, never the unspecified one', () => {
    assert.equal(announcedAddresses({ host: '127.0.0.1', port: 5 }), '/ip4/127.0.0.1/tcp/5')
    assert.equal(announcedAddresses({ host: 'node.example', port: 5 }), '/dns/node.example/tcp/5')
    for (const host of ['0.0.0.0', '::']) {
      const text = announcedAddresses({ host, port: 5 })
      for (const address of text === '' ? [] : parseAddresses(text)) {
        assert.ok(!['0.0.0.0', '::', '127.0.0.1', '::1'].includes(address.host))
        assert.equal(address.port, 5)
      }
    }
  })
})
