import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { bytesToHex } from '@cumulus/bytes'
import { minimal } from '@cumulus/params'
import { hashTypedData } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { gateways, grantHash, grantTypedData, storage, territories } from '../../src/modules/index.ts'
import { account, bytes32, gateway, owner, peerKeyOf, stranger, TestNetwork, TOKEN } from './test-network.ts'

const zero = account(0)
const none = { quotaBytes: 0n, usedBytes: 0n, expiresAtBlock: 0n }

function register(network: TestNetwork, one = gateway) {
  const key = bytesToHex(peerKeyOf(one).publicKey)
  const args = [key, '/ip4/10.0.0.1/tcp/1', 'https://s3.example', network.peerSignature(one)] as const
  return network.transact(gateways, 'register', [...args], { from: one })
}

describe('a gateway', () => {
  it('registers, and is found by account, by peer key and in the list', () => {
    const network = new TestNetwork()
    const peerKey = bytesToHex(peerKeyOf(gateway).publicKey)
    const { events } = register(network)
    const texts = { addresses: '/ip4/10.0.0.1/tcp/1', endpoint: 'https://s3.example' }
    assert.deepEqual(events, [{ name: 'GatewayRegistered', args: { account: gateway, peerKey, ...texts } }])
    const entry = { account: gateway, peerKey, ...texts, registeredAtBlock: 1n }
    assert.deepEqual(network.call(gateways, 'gatewayOf', [gateway]), entry)
    assert.deepEqual(network.call(gateways, 'gatewayByPeerKey', [peerKey]), entry)
    assert.deepEqual(network.call(gateways, 'gateways', [0n, 10n]), [entry])
    assert.equal(network.call(gateways, 'gatewayCount', []), 1n)
    assert.equal(network.call(gateways, 'gatewayOf', [stranger]).account, zero)
    assert.equal(network.call(gateways, 'gatewayByPeerKey', [bytes32(9)]).account, zero)
  })

  it('cannot register twice, with a foreign key, or with endless texts', () => {
    const network = new TestNetwork()
    register(network)
    const key = bytesToHex(peerKeyOf(stranger).publicKey)
    const signature = network.peerSignature(stranger)
    const attempt =
      (peerKey: `0x${string}`, addresses: string, endpoint: string, from = stranger) =>
      () =>
        network.call(gateways, 'register', [peerKey, addresses, endpoint, signature], { from })
    assert.throws(attempt(key, '', '', gateway), /already registered/)
    assert.throws(attempt(bytesToHex(peerKeyOf(gateway).publicKey), '', ''), /belongs to another gateway/)
    assert.throws(attempt(key, '', '', owner), /did not sign for this account/)
    assert.throws(attempt(key, 'x'.repeat(1025), ''), /addresses is longer/)
    assert.throws(attempt(key, '', 'x'.repeat(257)), /endpoint is longer/)
    assert.throws(attempt(bytes32(0), '', ''), /peer key is zero/)
  })

  it('changes its addresses, and leaves nothing behind when it is removed', () => {
    const network = new TestNetwork()
    for (const one of [gateway, stranger, owner]) register(network, one)
    network.call(gateways, 'update', ['a', 'b'], { from: stranger })
    assert.equal(network.call(gateways, 'gatewayOf', [stranger]).endpoint, 'b')
    assert.throws(
      () => network.call(gateways, 'update', ['', 'x'.repeat(257)], { from: stranger }),
      /endpoint is longer/,
    )
    network.call(gateways, 'remove', [], { from: gateway })
    assert.deepEqual(
      network.call(gateways, 'gateways', [0n, 10n]).map((entry) => entry.account),
      [owner, stranger],
    )
    assert.throws(() => network.call(gateways, 'remove', [], { from: gateway }), /not a gateway/)
    assert.throws(() => network.call(gateways, 'update', ['', ''], { from: gateway }), /not a gateway/)
    network.call(gateways, 'remove', [], { from: stranger })
    network.call(gateways, 'remove', [], { from: owner })
    assert.equal(network.world.slotsOf(gateways.address).size, 0)
  })
})

describe('a grant', () => {
  const setUp = () => {
    const network = new TestNetwork({ minerCount: 12, units: 50 })
    return { network, territory: network.mint() }
  }
  const mayUse = (network: TestNetwork, territory: bigint, who = gateway) =>
    network.call(gateways, 'mayUse', [territory, who])

  it('lets a gateway use a territory until it expires', () => {
    const { network, territory } = setUp()
    assert.equal(mayUse(network, territory), false)
    assert.equal(mayUse(network, territory, owner), true)
    assert.deepEqual(network.call(gateways, 'grantOf', [territory, gateway]), none)
    network.grant(territory, { quota: 5n, blocks: 10n })
    assert.deepEqual(network.call(gateways, 'grantOf', [territory, gateway]), {
      quotaBytes: 5n,
      usedBytes: 0n,
      expiresAtBlock: 11n,
    })
    network.advance({ blocks: 9n })
    assert.equal(mayUse(network, territory), true)
    network.advance({ blocks: 1n })
    assert.equal(mayUse(network, territory), false)
    assert.throws(() => network.reserve(territory, 1, { from: gateway }), /neither the owner nor a gateway/)
  })

  it('is given and taken back by the owner only, for a time to come, to somebody', () => {
    const { network, territory } = setUp()
    const grant = (to: `0x${string}`, expires: bigint, from: `0x${string}`) =>
      network.call(gateways, 'grant', [territory, to, 1n, expires], { from })
    assert.throws(() => grant(gateway, 50n, stranger), /not the owner/)
    assert.throws(() => grant(gateway, 1n, owner), /grant has expired/)
    assert.throws(() => grant(zero, 50n, owner), /gateway is zero/)
    assert.throws(() => network.call(gateways, 'grant', [99n, gateway, 1n, 50n], { from: owner }), /no such territory/)
    assert.throws(() => network.call(gateways, 'revoke', [territory, gateway], { from: stranger }), /not the owner/)
    grant(gateway, 50n, owner)
    const { events } = network.transact(gateways, 'revoke', [territory, gateway], { from: owner })
    assert.deepEqual(events, [{ name: 'Revoked', args: { territory, gateway } }])
    assert.deepEqual(network.call(gateways, 'grantOf', [territory, gateway]), none)
    assert.equal(mayUse(network, territory), false)
  })

  it('bounds the bytes a gateway reserves; released bytes are free again, even over a revocation', () => {
    const { network, territory } = setUp()
    const bytes = network.stripeBytes
    const used = () => network.call(gateways, 'grantOf', [territory, gateway]).usedBytes
    network.grant(territory, { quota: 5n * bytes })
    const { group } = network.reserve(territory, 4, { from: gateway })
    assert.equal(used(), 4n * bytes)
    assert.throws(
      () => network.reserve(territory, 2, { from: gateway }),
      new RegExp(`OverQuota\\(${2n * bytes},${bytes}\\)`),
    )
    network.reserve(territory, 6) // the owner needs no grant, and spends none
    assert.equal(used(), 4n * bytes)
    network.call(gateways, 'revoke', [territory, gateway], { from: owner })
    network.call(storage, 'release', [group, [0]], { from: owner })
    network.grant(territory, { quota: bytes })
    assert.equal(used(), 3n * bytes)
    assert.throws(() => network.reserve(territory, 1, { from: gateway }), /OverQuota\(16384,0\)/)
  })

  it('ends when the territory changes hands, and does not come back with the old owner', () => {
    const { network, territory } = setUp()
    network.grant(territory)
    network.call(territories, 'transferFrom', [owner, stranger, territory], { from: owner })
    assert.equal(mayUse(network, territory), false)
    assert.equal(mayUse(network, territory, owner), false)
    network.call(territories, 'transferFrom', [stranger, owner, territory], { from: stranger })
    assert.equal(mayUse(network, territory), false)
    assert.deepEqual(network.call(gateways, 'grantOf', [territory, gateway]), none)
  })
})

describe('a signed grant', () => {
  const wallet = privateKeyToAccount(`0x${'42'.repeat(32)}`)
  const setUp = () => {
    const network = new TestNetwork()
    const territory = network.call(territories, 'mint', ['land', 1000n, 9, wallet.address], {
      from: owner,
      value: TOKEN,
    })
    const grant = { territory, gateway, quotaBytes: 77n, expiresAtBlock: 50n, nonce: 0n, deadlineBlock: 20n }
    const submit = (signature: `0x${string}`, changes: Partial<typeof grant> = {}) => {
      const { quotaBytes, expiresAtBlock, nonce, deadlineBlock } = { ...grant, ...changes }
      return network.transact(
        gateways,
        'grantBySignature',
        [territory, gateway, quotaBytes, expiresAtBlock, nonce, deadlineBlock, signature],
        { from: stranger },
      )
    }
    return {
      network,
      territory,
      grant,
      submit,
      sign: () => wallet.signTypedData(grantTypedData(minimal.chainId, grant)),
    }
  }

  it('hashes as wallets hash it (EIP-712)', () => {
    const { grant } = setUp()
    assert.equal(bytesToHex(grantHash(minimal.chainId, grant)), hashTypedData(grantTypedData(minimal.chainId, grant)))
  })

  it('is handed in by anybody, once, and does what the owner could do', async () => {
    const { network, territory, submit, sign } = setUp()
    const signature = await sign()
    const { events, gasUsed } = submit(signature)
    assert.equal(events[0]!.name, 'Granted')
    assert.ok(gasUsed > 3_000n)
    assert.equal(network.call(gateways, 'grantOf', [territory, gateway]).quotaBytes, 77n)
    assert.equal(network.call(gateways, 'grantNonceOf', [wallet.address]), 1n)
    assert.throws(() => submit(signature), /nonce is not the next one/)
  })

  it('takes a recovery byte of 0 or 1 as well', async () => {
    const { submit, sign } = setUp()
    const signature = await sign()
    const v = Number.parseInt(signature.slice(-2), 16) - 27
    submit(`${signature.slice(0, -2)}0${v}` as `0x${string}`)
  })

  it('counts for nothing when changed, late, malformed, or signed by another', async () => {
    const { network, submit, sign, grant } = setUp()
    const signature = await sign()
    assert.throws(() => submit(signature, { quotaBytes: 78n }), /not signed by the owner/)
    assert.throws(() => submit(signature, { nonce: 1n }), /nonce is not the next one/)
    assert.throws(() => submit('0x1234'), /not signed by the owner/)
    assert.throws(() => submit(`0x${'00'.repeat(65)}`), /not signed by the owner/)
    assert.throws(() => submit(`${signature.slice(0, -2)}1d` as `0x${string}`), /not signed by the owner/)
    const thief = privateKeyToAccount(`0x${'43'.repeat(32)}`)
    const stolen = await thief.signTypedData(grantTypedData(minimal.chainId, grant))
    assert.throws(() => submit(stolen), /not signed by the owner/)
    const elsewhere = await wallet.signTypedData(grantTypedData(minimal.chainId + 1, grant))
    assert.throws(() => submit(elsewhere), /not signed by the owner/)
    // The mirror image of a signature, s → n − s, would be a second one for the same statement.
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
    const s = (order - BigInt(`0x${signature.slice(66, 130)}`)).toString(16).padStart(64, '0')
    const v = signature.endsWith('1b') ? '1c' : '1b'
    assert.throws(() => submit(`${signature.slice(0, 66)}${s}${v}` as `0x${string}`), /not signed by the owner/)
    network.advance({ blocks: 20n })
    assert.throws(() => submit(signature), /deadline has passed/)
  })
})
