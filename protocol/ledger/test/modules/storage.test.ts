import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { keccak256 } from '@cumulus/hash'
import { mainnet, minimal } from '@cumulus/params'
import { drawMembers } from '@cumulus/storage'
import {
  DRAW_WINDOW_COUNT,
  gateways,
  miners,
  rentOf,
  storage,
  stripeRootSlot,
  stripeState,
  territories,
} from '../../src/modules/index.ts'
import { account, bytes32, gateway, owner, stranger, TestNetwork } from './test-network.ts'

const zero = account(0)
const names = (events: { name: string }[]) => events.map(({ name }) => name)

function setUp({ minerCount = 12, units = 50, stripes = 100 } = {}) {
  const network = new TestNetwork({ minerCount, units })
  return { network, territory: network.mint({ stripes }) }
}

describe('a class', () => {
  it('is what the parameters say', () => {
    const { network } = setUp({ minerCount: 0 })
    const { standard } = minimal.classes
    assert.deepEqual(network.call(storage, 'classOf', [1]), { ...standard })
    assert.throws(() => network.call(storage, 'classOf', [9]), /no storage class 9/)
  })
})

describe('a reservation', () => {
  it('opens a group of distinct operators, takes a unit of each for every stripe, and locks the bytes', () => {
    const { network, territory } = setUp({ minerCount: 15 })
    const { value: id, events } = network.transact(storage, 'reserve', [territory, 1, 8], { from: owner })
    assert.equal(id, 1n)
    assert.deepEqual(names(events), ['GroupOpened', 'Reserved'])
    const group = network.call(storage, 'groupOf', [1])
    assert.equal(new Set(group.members).size, 12)
    assert.deepEqual(
      { id: group.id, classId: group.classId, version: group.version, stripes: group.stripeCount, open: group.open },
      { id: 1, classId: 1, version: 1, stripes: 8, open: true },
    )
    assert.deepEqual(
      group.peerKeys,
      group.members.map((member) => network.minerOf(member).peerKey),
    )
    for (const member of group.members) {
      const { idleUnits, lockedUnits, serviceUnits } = network.minerOf(member)
      assert.deepEqual([idleUnits, lockedUnits, serviceUnits], [42, 8, 0])
    }
    assert.equal(network.call(territories, 'territoryOf', [territory]).lockedBytes, 8n * network.stripeBytes)
    const reservation = {
      id: 1n,
      territory,
      gateway: owner,
      group: 1,
      firstStripe: 0,
      stripeCount: 8,
      committedCount: 0,
      expiresAtEpoch: BigInt(minimal.reservationEpochs),
      closed: false,
    }
    assert.deepEqual(network.call(storage, 'reservationOf', [1n]), reservation)
    assert.deepEqual(network.call(storage, 'reservationsOf', [territory, 0n, 10n]), [reservation])
    assert.deepEqual(network.call(storage, 'stripeOf', [1, 7]), {
      root: bytes32(0),
      territory,
      reservation: 1n,
      gateway: owner,
      state: stripeState.reserved,
    })
    assert.equal(network.call(storage, 'stripeOf', [1, 8]).state, stripeState.none)
    assert.equal(network.call(storage, 'groupCount', []), 1)
  })

  it('draws the members that the beacon and the law of placement say', () => {
    const candidates = Array.from({ length: 20 }, (_, i) => account(i + 1)).map((id) => {
      return { id, operator: id, idleUnits: 50 }
    })
    for (const beacon of [7, 8]) {
      const { network, territory } = setUp({ minerCount: 20 })
      network.block = { ...network.block, prevRandao: new Uint8Array(32).fill(beacon) }
      const { members } = network.call(storage, 'groupOf', [network.reserve(territory, 3).group])
      const seed = keccak256(new Uint8Array([...network.block.prevRandao, 0, 0, 0, 1]))
      assert.deepEqual(members, drawMembers(candidates, 12, seed))
    }
  })

  it('looks at a thousand miners for a draw however many there are, at a bounded price', () => {
    const network = new TestNetwork({ minerCount: DRAW_WINDOW_COUNT + 20, units: 1 })
    const { events, gasUsed } = network.transact(storage, 'reserve', [network.mint(), 1, 1], { from: owner })
    assert.equal(events[0]!.name, 'GroupOpened')
    assert.ok(gasUsed < mainnet.blockGasLimit / 8n, `${gasUsed}`)
  })

  it('goes to an open group while that has room, and to a new one after', () => {
    const { network, territory } = setUp({ minerCount: 12, units: 80 })
    assert.deepEqual(
      [16, 8, 8, 1, 16]
        .map((stripes) => network.reserve(territory, stripes))
        .map(({ group, firstStripe }) => [group, firstStripe]),
      [
        [1, 0],
        [1, 16],
        [1, 24],
        [2, 0],
        [2, 1],
      ],
    )
    assert.equal(network.call(storage, 'groupOf', [1]).open, false) // 32 stripes: full
    const { group, firstStripe } = network.reserve(territory, 16) // 15 left in group 2
    assert.deepEqual([group, firstStripe], [3, 0])
    assert.deepEqual(network.reserve(territory, 15).group, 3)
  })

  it('leaves a group alone whose members cannot all take it', () => {
    const { network, territory } = setUp({ minerCount: 13 })
    const { group } = network.reserve(territory, 2)
    const leaver = network.call(storage, 'groupOf', [group]).members[5]!
    network.call(miners, 'exit', [], { from: leaver })
    const next = network.reserve(territory, 2)
    assert.equal(next.group, 2)
    assert.ok(!network.call(storage, 'groupOf', [2]).members.includes(leaver))
  })

  it('is refused with numbers where miners, capacity or quota do not suffice', () => {
    const { network, territory } = setUp({ minerCount: 11, stripes: 10 })
    assert.throws(() => network.reserve(territory, 4), /NoRoom\(12,11,4\)/)
    network.registerMiner(account(12), { units: 50, beneficiary: account(11) })
    assert.throws(() => network.reserve(territory, 4), /NoRoom\(12,11,4\)/) // one operator twice
    network.registerMiner(account(13), { units: 3 })
    assert.throws(() => network.reserve(territory, 4), /NoRoom\(12,11,4\)/) // too few units
    network.reserve(territory, 3)
    const bytes = network.stripeBytes
    const price = rentOf(minimal.pricePerGiBEpoch, bytes, 100n)
    assert.throws(
      () => network.reserve(territory, 8),
      new RegExp(`OverCapacity\\(${8n * bytes},${7n * bytes},${price}\\)`),
    )
  })

  it('is refused to strangers, for odd counts, unknown classes, and where the territory is not active', () => {
    const { network, territory } = setUp()
    assert.throws(() => network.reserve(territory, 1, { from: stranger }), /neither the owner nor a gateway/)
    assert.throws(() => network.reserve(99n, 1), /no such territory/)
    assert.throws(() => network.reserve(territory, 0), /1 to 16 stripes/)
    assert.throws(() => network.reserve(territory, 17), /1 to 16 stripes/)
    assert.throws(() => network.reserve(territory, 1, { classId: 3 }), /no storage class 3/)
    network.advance({ epochs: 100 })
    assert.throws(() => network.reserve(territory, 1), /territory is not active/)
    network.advance({ epochs: minimal.graceEpochs })
    assert.throws(() => network.reserve(territory, 1), /territory is not active/)
  })

  it('of the light class takes three seats', () => {
    const { network, territory } = setUp({ minerCount: 3 })
    const { group } = network.reserve(territory, 2, { classId: 2 })
    assert.equal(network.call(storage, 'groupOf', [group]).members.length, 3)
  })
})

describe('a commit', () => {
  it('makes stripes service units and used bytes, and closes the reservation when it is full', () => {
    const { network, territory } = setUp()
    network.grant(territory)
    const { id, group } = network.reserve(territory, 3, { from: gateway })
    const commit = (stripes: number[]) =>
      network.transact(storage, 'commit', [id, stripes.map((stripe) => network.receipts(group, stripe))], {
        from: gateway,
      })
    const { events } = commit([0, 2])
    assert.deepEqual(
      events,
      [0, 2].map((stripe) => ({
        name: 'Committed',
        args: { group, stripe, territory, root: bytes32(stripe + 1), seats: 4095n },
      })),
    )
    assert.deepEqual(
      network.call(storage, 'stripesOf', [group, 0, 10]).map(({ state, root }) => [state, root]),
      [
        [stripeState.committed, bytes32(1)],
        [stripeState.reserved, bytes32(0)],
        [stripeState.committed, bytes32(3)],
      ],
    )
    const { idleUnits, lockedUnits, serviceUnits } = network.minerOf(account(1))
    assert.deepEqual([idleUnits, lockedUnits, serviceUnits], [47, 1, 2])
    const { usedBytes, lockedBytes } = network.call(territories, 'territoryOf', [territory])
    assert.deepEqual([usedBytes, lockedBytes], [2n * network.stripeBytes, network.stripeBytes])
    assert.equal(network.call(storage, 'reservationOf', [id]).closed, false)
    commit([1])
    const { closed, committedCount } = network.call(storage, 'reservationOf', [id])
    assert.deepEqual({ closed, committedCount }, { closed: true, committedCount: 3 })
  })

  it('sent twice changes nothing, and a root never changes', () => {
    const { network, territory } = setUp()
    const { id, group } = network.reserve(territory, 2)
    const receipt = network.receipts(group, 0)
    network.call(storage, 'commit', [id, [receipt, receipt]], { from: owner })
    const before = network.world.snapshot()
    assert.deepEqual(network.transact(storage, 'commit', [id, [receipt]], { from: owner }).events, [])
    assert.equal(network.world.snapshot(), before)
    const other = network.receipts(group, 0, { root: bytes32(77) })
    assert.throws(() => network.call(storage, 'commit', [id, [other]], { from: owner }), /RootTaken\(0,0x0+1\)/)
  })

  it('puts the root of a stripe into the slot that is said, and there alone', () => {
    const { network, territory } = setUp()
    const rootAt = (group: number, stripe: number) =>
      network.world.getStorage(storage.address, stripeRootSlot(group, stripe))
    for (const { id: classId, seatCount } of [minimal.classes.standard, minimal.classes.light]) {
      const { id, group, firstStripe } = network.reserve(territory, 3, { classId })
      const seats = [...Array(seatCount).keys()]
      const rootOf = (stripe: number) => (group << 16) + stripe + 1
      const [first, last] = [firstStripe, firstStripe + 2]
      const handIn = [first, last].map((stripe) =>
        network.receipts(group, stripe, { root: bytes32(rootOf(stripe)), seats }),
      )
      network.call(storage, 'commit', [id, handIn], { from: owner })
      for (const stripe of [first, last]) assert.equal(rootAt(group, stripe), BigInt(rootOf(stripe)))
      assert.equal(rootAt(group, first + 1), 0n)
      assert.equal(rootAt(group + 1, first), 0n)
    }
    const slots = [0, 1, 2 ** 32 - 1].flatMap((group) =>
      [0, 1, 2 ** 32 - 1].map((stripe) => stripeRootSlot(group, stripe)),
    )
    assert.equal(new Set(slots).size, slots.length)
  })

  it('needs the write quorum of valid receipts of the seats it names', () => {
    const { network, territory } = setUp()
    const { id, group } = network.reserve(territory, 2)
    const commit = (changes: object) =>
      network.call(storage, 'commit', [id, [{ ...network.receipts(group, 0), ...changes }]], { from: owner })
    const seats = [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert.throws(() => commit(network.receipts(group, 0, { seats })), /BelowQuorum\(0,10,9\)/)
    assert.throws(() => commit({ seats: 0n, signatures: '0x' }), /BelowQuorum\(0,10,0\)/)
    assert.throws(() => commit({ seats: 1n << 12n }), /a seat is over 11/)
    assert.throws(() => commit({ seats: (1n << 255n) | 4095n }), /a seat is over 11/)
    assert.throws(() => commit({ seats: 2047n }), /64 bytes for each seat/)
    assert.throws(() => commit({ root: bytes32(5) }), /BadReceipt\(0,0\)/)
    assert.throws(() => commit({ root: bytes32(0) }), /root of stripe 0 is zero/)
    assert.throws(() => commit({ ...network.receipts(group, 1), stripe: 0 }), /BadReceipt\(0,0\)/)
    const { signatures } = network.receipts(group, 0)
    const broken = `${signatures.slice(0, 2 + 128 * 4)}ff${signatures.slice(2 + 128 * 4 + 2)}` as const
    assert.throws(() => commit({ signatures: broken }), /BadReceipt\(0,4\)/)
    commit(network.receipts(group, 0, { seats: [0, 1, 3, 4, 5, 6, 8, 9, 10, 11] }))
  })

  it('is for the reserving gateway and the owner, within the reservation, in its time', () => {
    const { network, territory } = setUp()
    network.grant(territory, { blocks: 5n })
    const { id, group } = network.reserve(territory, 2, { from: gateway })
    network.reserve(territory, 2)
    const commit = (from: `0x${string}`, stripe = 0, reservation = id) =>
      network.call(storage, 'commit', [reservation, [network.receipts(group, stripe)]], { from })
    assert.throws(() => commit(stranger), /neither the owner nor the gateway/)
    assert.throws(() => commit(owner, 0, 99n), /no such reservation/)
    assert.throws(() => commit(owner, 2), /stripe 2 is not in the reservation/)
    assert.throws(() => network.call(storage, 'commit', [id, []], { from: owner }), /1 to 256 stripes/)
    network.advance({ blocks: 10n })
    commit(gateway) // the grant is over, what it reserved is not
    network.advance({ epochs: minimal.reservationEpochs })
    assert.throws(() => commit(gateway, 1), /reservation has expired/)
  })

  it('of 16 stripes with 12 receipts each takes a small part of a chain block', () => {
    const { network, territory } = setUp()
    const { id, group } = network.reserve(territory, 16)
    const stripes = Array.from({ length: 16 }, (_, i) => network.receipts(group, i))
    const { gasUsed } = network.transact(storage, 'commit', [id, stripes], { from: owner })
    assert.ok(gasUsed > 16n * 12n * 5_000n)
    assert.ok(gasUsed < mainnet.blockGasLimit / 30n, `${gasUsed}`)
  })
})

describe('a release', () => {
  it('gives units and bytes back and leaves a tombstone for ever', () => {
    const { network, territory } = setUp()
    const { id, group } = network.reserve(territory, 3)
    network.call(storage, 'commit', [id, [network.receipts(group, 0), network.receipts(group, 1)]], { from: owner })
    const { events } = network.transact(storage, 'release', [group, [1, 2, 1]], { from: owner })
    assert.deepEqual(
      events,
      [1, 2].map((stripe) => ({ name: 'Released', args: { group, stripe, territory } })),
    )
    const { idleUnits, lockedUnits, serviceUnits } = network.minerOf(account(3))
    assert.deepEqual([idleUnits, lockedUnits, serviceUnits], [49, 0, 1])
    const { usedBytes, lockedBytes } = network.call(territories, 'territoryOf', [territory])
    assert.deepEqual([usedBytes, lockedBytes], [network.stripeBytes, 0n])
    assert.equal(network.call(storage, 'reservationOf', [id]).closed, true)
    const { state, root } = network.call(storage, 'stripeOf', [group, 1])
    assert.deepEqual({ state, root }, { state: stripeState.released, root: bytes32(2) })
    for (const stripe of [1, 2]) {
      assert.throws(
        () => network.call(storage, 'commit', [id, [network.receipts(group, stripe)]], { from: owner }),
        /is released/,
      )
    }
    assert.deepEqual(network.transact(storage, 'release', [group, [2]], { from: owner }).events, [])
    assert.equal(network.reserve(territory, 1).firstStripe, 3) // numbers are not used again
  })

  it('is for the owner and gateways with a grant; what is not committed, for the one that reserved', () => {
    const { network, territory } = setUp()
    const { id, group } = network.reserve(territory, 2)
    network.call(storage, 'commit', [id, [network.receipts(group, 0)]], { from: owner })
    const release = (stripes: number[], from: `0x${string}`) =>
      network.call(storage, 'release', [group, stripes], { from })
    assert.throws(() => release([0], stranger), /neither the owner nor a gateway with a grant/)
    assert.throws(() => release([0], gateway), /neither the owner nor a gateway with a grant/)
    network.grant(territory)
    assert.throws(() => release([1], gateway), /neither the owner nor the gateway that reserved/)
    release([0], gateway)
    assert.throws(() => release([2], owner), /no stripe 2 in group 1/)
    assert.throws(() => release([], owner), /1 to 256 stripes/)
    assert.throws(() => network.call(storage, 'release', [5, [0]], { from: owner }), /no such group/)
  })

  it('works in a territory that has expired', () => {
    const { network, territory } = setUp()
    const { id, group } = network.reserve(territory, 1)
    network.call(storage, 'commit', [id, [network.receipts(group, 0)]], { from: owner })
    network.advance({ epochs: 1000 })
    network.call(storage, 'release', [group, [0]], { from: owner })
    assert.equal(network.call(territories, 'territoryOf', [territory]).usedBytes, 0n)
  })
})

describe('an expired reservation', () => {
  it('gives back what was not filled, at anybody’s call, once', () => {
    const { network, territory } = setUp()
    network.grant(territory)
    const { id, group } = network.reserve(territory, 3, { from: gateway })
    network.call(storage, 'commit', [id, [network.receipts(group, 1)]], { from: gateway })
    const expire = () => network.transact(storage, 'expire', [id], { from: stranger })
    assert.throws(expire, /has not expired/)
    network.advance({ epochs: minimal.reservationEpochs })
    assert.deepEqual(
      expire().events.map(({ name, args }) => [name, args['stripe']]),
      [
        ['Released', 0],
        ['Released', 2],
      ],
    )
    assert.deepEqual(
      network.call(storage, 'stripesOf', [group, 0, 3]).map(({ state }) => state),
      [stripeState.released, stripeState.committed, stripeState.released],
    )
    const { usedBytes, lockedBytes } = network.call(territories, 'territoryOf', [territory])
    assert.deepEqual([usedBytes, lockedBytes], [network.stripeBytes, 0n])
    assert.equal(network.call(gateways, 'grantOf', [territory, gateway]).usedBytes, network.stripeBytes)
    const { idleUnits, lockedUnits, serviceUnits } = network.minerOf(account(1))
    assert.deepEqual([idleUnits, lockedUnits, serviceUnits], [49, 0, 1])
    assert.throws(expire, /is closed/)
    assert.throws(() => network.call(storage, 'expire', [9n]), /no such reservation/)
  })

  it('is found by the chain itself, a few in each block', () => {
    const { network, territory } = setUp()
    const ids = Array.from({ length: 6 }, () => network.reserve(territory, 1).id)
    network.call(storage, 'commit', [ids[1]!, [network.receipts(1, 1)]], { from: owner })
    network.advance({ epochs: minimal.reservationEpochs - 1 })
    const late = network.reserve(territory, 1).id
    const hook = () => network.events(network.endBlock(), [storage])
    assert.deepEqual(hook(), [])
    network.advance({ epochs: 1 })
    assert.deepEqual(
      hook().map(({ args }) => args['stripe']),
      [0, 2, 3, 4],
    )
    assert.deepEqual(
      hook().map(({ args }) => args['stripe']),
      [5],
    )
    assert.deepEqual(hook(), [])
    assert.equal(network.call(storage, 'reservationOf', [late]).closed, false)
  })
})

describe('lists of stripes and reservations', () => {
  it('come in bounded pages', () => {
    const { network, territory } = setUp()
    network.reserve(territory, 5)
    const states = (first: number, count: number) => network.call(storage, 'stripesOf', [1, first, count]).length
    assert.deepEqual(
      [states(0, 256), states(3, 1), states(4, 9), states(5, 1), states(2 ** 32 - 1, 256)],
      [5, 1, 1, 0, 0],
    )
    assert.throws(() => states(0, 257), /count is over 256/)
    assert.throws(() => network.call(storage, 'reservationsOf', [territory, 0n, 101n]), /limit is over 100/)
  })

  it('are zeros for what does not exist', () => {
    const { network } = setUp({ minerCount: 0 })
    const { id, members, classId } = network.call(storage, 'groupOf', [7])
    assert.deepEqual({ id, members, classId }, { id: 0, members: [], classId: 0 })
    assert.equal(network.call(storage, 'reservationOf', [7n]).id, 0n)
    assert.deepEqual(network.call(storage, 'stripeOf', [7, 7]), {
      root: bytes32(0),
      territory: 0n,
      reservation: 0n,
      gateway: zero,
      state: stripeState.none,
    })
  })
})

describe('a file', () => {
  it('belongs to whoever owns its territory', () => {
    const { network, territory } = setUp({ minerCount: 0 })
    const fid = bytes32(5)
    const declare = (from: `0x${string}`, id = fid) =>
      network.call(storage, 'declareFile', [id, bytes32(6), 123n, territory], { from })
    assert.throws(() => declare(stranger), /neither the owner nor a gateway/)
    declare(owner)
    assert.throws(() => declare(owner), /declared already/)
    assert.deepEqual(network.call(storage, 'fileOf', [fid]), [owner, territory, 123n, bytes32(6)])
    network.call(territories, 'transferFrom', [owner, stranger, territory], { from: owner })
    assert.equal(network.call(storage, 'fileOf', [fid])[0], stranger)
    assert.deepEqual(network.call(storage, 'fileOf', [bytes32(1)]), [zero, 0n, 0n, bytes32(0)])
  })

  it('moves to another territory that its owner may use', () => {
    const { network, territory } = setUp({ minerCount: 0 })
    const elsewhere = network.mint()
    const foreign = network.mint({ to: stranger })
    const fid = bytes32(5)
    network.call(storage, 'declareFile', [fid, bytes32(6), 123n, territory], { from: owner })
    const move = (to: bigint, from = owner) => network.transact(storage, 'transferFile', [fid, to], { from })
    assert.throws(() => move(elsewhere, stranger), /not the owner of the file/)
    assert.throws(() => move(foreign), /neither the owner nor a gateway/)
    assert.throws(() => network.call(storage, 'transferFile', [bytes32(1), elsewhere], { from: owner }), /no such file/)
    assert.deepEqual(move(elsewhere).events, [{ name: 'FileTransferred', args: { fid, territory: elsewhere } }])
    assert.equal(network.call(storage, 'fileOf', [fid])[1], elsewhere)
  })
})

describe('a bucket anchor', () => {
  it('is the last one that a user of the territory set', () => {
    const { network, territory } = setUp({ minerCount: 0 })
    const anchor = (root: number, from: `0x${string}`) =>
      network.call(storage, 'anchorBucket', [territory, bytes32(1), bytes32(root), 2n, 3n], { from })
    assert.throws(() => anchor(4, gateway), /neither the owner nor a gateway/)
    network.grant(territory)
    anchor(4, gateway)
    network.advance({ blocks: 6n })
    anchor(5, owner)
    assert.deepEqual(network.call(storage, 'anchorOf', [territory, bytes32(1)]), [bytes32(5), 2n, 3n, 7n])
    assert.deepEqual(network.call(storage, 'anchorOf', [territory, bytes32(2)]), [bytes32(0), 0n, 0n, 0n])
  })
})
