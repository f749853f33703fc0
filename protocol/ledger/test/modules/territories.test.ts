import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { minimal } from '@cumulus/params'
import {
  GOVERNANCE_ADDRESS,
  parameters,
  rentOf,
  territories,
  territoryState,
  treasury,
} from '../../src/modules/index.ts'
import { account, gateway, owner, stranger, TestNetwork, TOKEN } from './test-network.ts'

const GIB = 2n ** 30n
const zero = account(0)
const ids = (list: readonly { id: bigint }[]) => list.map(({ id }) => id)

describe('a territory', () => {
  it('costs, and waits for renewal, as governance says from the next era on', () => {
    const network = new TestNetwork()
    const set = (name: string, value: bigint) =>
      network.call(parameters, 'set', [name, value], { from: GOVERNANCE_ADDRESS })
    const id = network.mint({ epochs: minimal.epochsPerEra })
    set('territories.pricePerGiBEpoch', 3n)
    set('territories.graceEpochs', 2n)
    assert.equal(network.call(territories, 'price', [GIB, 5]), 5n * minimal.pricePerGiBEpoch)
    network.advance({ epochs: minimal.epochsPerEra })
    assert.equal(network.call(territories, 'price', [GIB, 5]), 15n)
    const state = () => network.call(territories, 'territoryOf', [id]).state
    assert.equal(state(), territoryState.frozen)
    network.advance({ epochs: 2 })
    assert.equal(state(), territoryState.expired)
  })

  it('is minted for rent, which goes to the treasury, and what was sent too much comes back', () => {
    const network = new TestNetwork()
    const price = network.call(territories, 'price', [3n * GIB, 7])
    assert.equal(price, 21n * minimal.pricePerGiBEpoch)
    const before = network.world.getBalance(owner)
    const { value: id, events } = network.transact(territories, 'mint', ['home', 3n * GIB, 7, gateway], {
      from: owner,
      value: TOKEN,
    })
    assert.equal(id, 1n)
    assert.deepEqual(events, [
      { name: 'Transfer', args: { from: zero, to: gateway, tokenId: 1n } },
      {
        name: 'TerritoryMinted',
        args: { id: 1n, owner: gateway, name: 'home', capacityBytes: 3n * GIB, expiresAtEpoch: 7n },
      },
    ])
    assert.deepEqual(network.call(territories, 'territoryOf', [1n]), {
      id: 1n,
      owner: gateway,
      name: 'home',
      capacityBytes: 3n * GIB,
      usedBytes: 0n,
      lockedBytes: 0n,
      expiresAtEpoch: 7n,
      state: territoryState.active,
    })
    assert.equal(network.world.getBalance(owner), before - price)
    assert.equal(network.world.getBalance(treasury.address), price)
    assert.equal(network.world.getBalance(territories.address), 0n)
    assert.equal(network.call(treasury, 'received', []), price)
  })

  it('costs a wei at least: rent is rounded up', () => {
    assert.equal(rentOf(1n, 1n, 1n), 1n)
    assert.equal(rentOf(1n, GIB, 1n), 1n)
    assert.equal(rentOf(1n, GIB + 1n, 1n), 2n)
  })

  it('is not minted for too little, for nobody, empty, for no time, or with an endless name', () => {
    const network = new TestNetwork()
    const mint = (name: string, bytes: bigint, epochs: number, to: `0x${string}`, value = TOKEN) => {
      return () => network.call(territories, 'mint', [name, bytes, epochs, to], { from: owner, value })
    }
    const price = network.call(territories, 'price', [GIB, 1])
    assert.throws(mint('a', GIB, 1, owner, price - 1n), /PriceNotPaid\(1000000000000,999999999999\)/)
    assert.throws(mint('a', GIB, 1, zero), /owner is zero/)
    assert.throws(mint('a', 0n, 1, owner), /no capacity/)
    assert.throws(mint('a', GIB, 0, owner), /no epochs/)
    assert.throws(mint('a'.repeat(65), GIB, 1, owner), /name is longer than 64 bytes/)
    mint('a', GIB, 1, owner, price)()
  })

  it('is active, then frozen, where it can be renewed, then expired, where it cannot', () => {
    const network = new TestNetwork()
    const id = network.mint({ epochs: 3 })
    const state = () => network.call(territories, 'territoryOf', [id]).state
    const renew = (epochs: number) =>
      network.transact(territories, 'renew', [id, epochs], { from: stranger, value: TOKEN })
    network.advance({ epochs: 2 })
    assert.equal(state(), territoryState.active)
    network.advance({ epochs: 1 })
    assert.equal(state(), territoryState.frozen)
    const expand = () => network.call(territories, 'expand', [id, 1n], { from: owner, value: TOKEN })
    assert.throws(expand, /not active/)
    assert.deepEqual(renew(2).events, [{ name: 'TerritoryRenewed', args: { id, expiresAtEpoch: 5n } }])
    assert.equal(state(), territoryState.active)
    network.advance({ epochs: 1 + minimal.graceEpochs })
    assert.equal(state(), territoryState.frozen)
    network.advance({ epochs: 1 })
    assert.equal(state(), territoryState.expired)
    assert.throws(() => renew(1), /expired for good/)
    assert.throws(expand, /not active/)
  })

  it('grows for the rest of its term', () => {
    const network = new TestNetwork()
    const id = network.mint({ epochs: 10 })
    const { capacityBytes } = network.call(territories, 'territoryOf', [id])
    network.advance({ epochs: 4 })
    const before = network.world.getBalance(stranger)
    network.call(territories, 'expand', [id, GIB], { from: stranger, value: TOKEN })
    assert.equal(before - network.world.getBalance(stranger), 6n * minimal.pricePerGiBEpoch)
    assert.equal(network.call(territories, 'territoryOf', [id]).capacityBytes, capacityBytes + GIB)
    const expand = (bytes: bigint) => network.call(territories, 'expand', [id, bytes], { from: owner, value: TOKEN })
    assert.throws(() => expand(0n), /no extra bytes/)
    assert.throws(() => expand(2n ** 64n - 1n), /over 2\^64/)
    assert.throws(() => network.call(territories, 'expand', [99n, 1n], { from: owner }), /no such territory/)
    assert.throws(() => network.call(territories, 'renew', [id, 0], { from: owner }), /no epochs/)
    assert.throws(() => network.call(territories, 'renew', [id, 1], { from: owner }), /PriceNotPaid/)
  })

  it('is renamed by its owner only', () => {
    const network = new TestNetwork()
    const id = network.mint()
    network.call(territories, 'rename', [id, 'new'], { from: owner })
    assert.equal(network.call(territories, 'territoryOf', [id]).name, 'new')
    assert.throws(() => network.call(territories, 'rename', [id, 'x'], { from: stranger }), /not the owner/)
    assert.throws(() => network.call(territories, 'rename', [id, 'x'.repeat(65)], { from: owner }), /name is longer/)
  })

  it('that does not exist is refused by name', () => {
    const network = new TestNetwork()
    assert.throws(() => network.call(territories, 'territoryOf', [1n]), /no such territory/)
    assert.throws(() => network.call(territories, 'ownerOf', [0n]), /no such territory/)
    assert.throws(() => network.call(territories, 'getApproved', [0n]), /no such territory/)
    assert.throws(() => network.call(territories, 'tokenURI', [0n]), /no such territory/)
  })
})

describe('a territory as an ERC-721 token', () => {
  const setUp = () => {
    const network = new TestNetwork()
    return { network, list: [network.mint(), network.mint(), network.mint()] as [bigint, bigint, bigint] }
  }

  it('moves to another owner, with its place in both lists', () => {
    const { network, list } = setUp()
    const { events } = network.transact(territories, 'transferFrom', [owner, stranger, list[0]], { from: owner })
    assert.deepEqual(events, [{ name: 'Transfer', args: { from: owner, to: stranger, tokenId: list[0] } }])
    assert.equal(network.call(territories, 'ownerOf', [list[0]]), stranger)
    assert.equal(network.call(territories, 'balanceOf', [owner]), 2n)
    assert.deepEqual(ids(network.call(territories, 'territoriesOf', [owner, 0n, 10n])), [list[2], list[1]])
    assert.deepEqual(ids(network.call(territories, 'territoriesOf', [stranger, 0n, 10n])), [list[0]])
    network.call(territories, 'transferFrom', [owner, owner, list[1]], { from: owner })
    assert.deepEqual(ids(network.call(territories, 'territoriesOf', [owner, 0n, 10n])), [list[2], list[1]])
  })

  it('is moved by the owner, an approved account and an operator, and by nobody else', () => {
    const { network, list } = setUp()
    const move = (id: bigint, from: `0x${string}`) => () =>
      network.call(territories, 'transferFrom', [owner, gateway, id], { from })
    assert.throws(move(list[0], stranger), /not the owner, nor approved/)
    assert.throws(
      () => network.call(territories, 'approve', [stranger, list[0]], { from: stranger }),
      /nor an operator/,
    )
    network.call(territories, 'approve', [stranger, list[0]], { from: owner })
    assert.equal(network.call(territories, 'getApproved', [list[0]]), stranger)
    move(list[0], stranger)()
    assert.equal(network.call(territories, 'getApproved', [list[0]]), zero)
    network.call(territories, 'setApprovalForAll', [stranger, true], { from: owner })
    assert.equal(network.call(territories, 'isApprovedForAll', [owner, stranger]), true)
    move(list[1], stranger)()
    network.call(territories, 'approve', [stranger, list[2]], { from: stranger })
    network.call(territories, 'approve', [zero, list[2]], { from: stranger })
    network.call(territories, 'setApprovalForAll', [stranger, false], { from: owner })
    assert.throws(move(list[2], stranger), /not the owner, nor approved/)
    assert.throws(move(list[0], owner), /from is not the owner/)
  })

  it('goes to no zero address, and safely to no contract, for nobody can ask it', () => {
    const { network, list } = setUp()
    const contract = account(400)
    network.world.setCode(contract, new Uint8Array([0x60]))
    const safe = (to: `0x${string}`) =>
      network.call(territories, 'safeTransferFrom', [owner, to, list[0]], { from: owner })
    assert.throws(
      () => network.call(territories, 'transferFrom', [owner, zero, list[0]], { from: owner }),
      /to is zero/,
    )
    assert.throws(() => safe(contract), /cannot ask a contract/)
    assert.throws(() => safe(territories.address), /cannot ask a contract/)
    assert.throws(
      () => network.call(territories, 'safeTransferFrom', [owner, contract, list[0], '0x01'], { from: owner }),
      /cannot ask a contract/,
    )
    const delegated = account(401)
    network.world.setCode(delegated, new Uint8Array([0xef, 0x01, 0x00, ...new Uint8Array(20).fill(1)]))
    safe(delegated)
    network.call(territories, 'safeTransferFrom', [owner, stranger, list[1], '0x'], { from: owner })
    network.call(territories, 'transferFrom', [owner, contract, list[2]], { from: owner })
    assert.equal(network.call(territories, 'balanceOf', [owner]), 0n)
  })

  it('says what it is', () => {
    const { network, list } = setUp()
    assert.equal(network.call(territories, 'name', []), 'Cumulus Territory')
    assert.equal(network.call(territories, 'symbol', []), 'LAND')
    for (const [id, known] of [
      ['0x01ffc9a7', true],
      ['0x80ac58cd', true],
      ['0x5b5e139f', true],
      ['0xffffffff', false],
    ] as const) {
      assert.equal(network.call(territories, 'supportsInterface', [id]), known)
    }
    network.call(territories, 'rename', [list[0], 'a "b" €,%'], { from: owner })
    const uri = network.call(territories, 'tokenURI', [list[0]])
    const metadata = JSON.parse(decodeURIComponent(uri.slice('data:application/json,'.length))) as { name: string }
    assert.equal(metadata.name, 'a "b" €,%')
    assert.throws(() => network.call(territories, 'balanceOf', [zero]), /owner is zero/)
    assert.throws(() => network.call(territories, 'setApprovalForAll', [zero, true]), /operator is zero/)
    assert.throws(() => network.call(territories, 'territoriesOf', [owner, 0n, 101n]), /limit is over 100/)
  })
})
