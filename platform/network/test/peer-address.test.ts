import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatAddress, parseAddress, parseAddresses } from '../src/index.ts'
import { alice } from './support.ts'

describe('a peer address', () => {
  it('is a multiaddress over TCP, with or without the peer id', () => {
    assert.deepEqual(parseAddress('/ip4/127.0.0.1/tcp/4001'), { host: '127.0.0.1', port: 4001 })
    assert.deepEqual(parseAddress(`/dns4/gateway.example/tcp/443/p2p/${alice.peerId}`), {
      host: 'gateway.example',
      port: 443,
      peerKey: alice.publicKey,
    })
    assert.deepEqual(parseAddress('/ip6/::1/tcp/1'), { host: '::1', port: 1 })
  })

  it('is written as it is read', () => {
    for (const text of [`/ip4/10.0.0.1/tcp/4001/p2p/${alice.peerId}`, '/ip6/::1/tcp/4001', '/dns/a.example/tcp/4001']) {
      assert.equal(formatAddress(parseAddress(text)), text)
    }
  })

  it('is refused if it is anything else', () => {
    const bad = ['', '127.0.0.1:4001', '/ip4/127.0.0.1', '/ip4/127.0.0.1/udp/4001', '/ip4/1.2.3/tcp/1', '/tcp/4001']
    bad.push('/ip4/127.0.0.1/tcp/4001/ws', '/ip4/127.0.0.1/tcp/4001/p2p/nonsense', '/ip4/127.0.0.1/tcp/99999')
    bad.push(`/dns4/${'a'.repeat(300)}/tcp/1`)
    for (const text of bad) assert.throws(() => parseAddress(text), { code: 'BAD_ADDRESS' }, text)
  })

  it('may be one of several, separated by commas', () => {
    assert.deepEqual(
      parseAddresses('/ip4/127.0.0.1/tcp/1, /ip4/127.0.0.1/tcp/2').map(({ port }) => port),
      [1, 2],
    )
    assert.throws(() => parseAddresses(''), { code: 'BAD_ADDRESS' })
    assert.throws(() => parseAddresses(Array(17).fill('/ip4/127.0.0.1/tcp/1').join(',')), { code: 'BAD_ADDRESS' })
  })
})
