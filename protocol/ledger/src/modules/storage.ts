import { concatBytes, hexToBytes } from '@cumulus/bytes'
import { keccak256 } from '@cumulus/hash'
import type { StorageClass } from '@cumulus/params'
import { drawMembers, verifyReceipt } from '@cumulus/storage'
import { type Address, groupId, seat, stripeNumber } from '@cumulus/types'
import { gasPrices, require } from '../framework/index.ts'
import { gateways } from './gateways.ts'
import { miners } from './miners.ts'
import { page, ZERO_ADDRESS, ZERO_BYTES32 } from './rules.ts'
import { type C, classOf, definition, membersOf, stripeBytes } from './storage-state.ts'
import {
  assignTagger,
  confirmTags,
  nthTagged,
  reportLoss,
  seatKey,
  seatMember,
  taggedSeats,
  tendTaggers,
  untagReleased,
  vacateSeats,
} from './tagging.ts'
import { territories } from './territories.ts'

export const stripeState = { none: 0, reserved: 1, committed: 2, released: 3 } as const

/** Stripes that one `stripesOf` shows, and that one `commit` or `release` takes. */
const STRIPES_PER_CALL_MAX = 256

/** Open groups that one reservation looks into before it opens another: at 4.2 k gas a member, under 1 M gas. */
const OPEN_GROUPS_SCANNED_MAX = 16

/** For each candidate and seat of a draw: two passes of additions, some 0.1 µs. */
const DRAW_STEP_GAS = 20

/** Old reservations that one chain block looks at, and those of them that it expires. */
const OLD_PER_BLOCK_MAX = 64
const EXPIRED_PER_BLOCK_MAX = 4

const SIGNATURE_BYTES = 64
const U32_MAX = 2 ** 32 - 1

/** An open group with room for `stripes`, all of whose members can take them. Newest first. */
function findGroup(c: C, classId: number, stripes: number): number | undefined {
  const open = c.s.openGroups.at(classId)
  const last = open.length() - 1
  const service = c.ask(miners)
  for (let i = last; i >= 0 && i > last - OPEN_GROUPS_SCANNED_MAX; i--) {
    const id = open.get(i)
    if (!c.s.groups.at(id).field('open').get()) {
      // A seat of it has been vacated. The last of the list, which was looked at, takes its place.
      open.set(i, open.get(open.length() - 1))
      open.pop()
      continue
    }
    if (c.s.groups.at(id).field('stripeCount').get() + stripes > c.params.stripesPerGroup) continue
    if (membersOf(c, id).every((member) => service.canTake(member, stripes))) return id
  }
  return undefined
}

/** Draws the members of a new group by the beacon of this block. */
function openGroup(c: C, { id: classId, seatCount }: StorageClass, stripes: number): number {
  const id = c.s.groupCount.get() + 1
  require(id <= U32_MAX, 'no group numbers left')
  const number = new Uint8Array(4)
  new DataView(number.buffer).setUint32(0, id)
  const seed = keccak256(concatBytes(c.block.prevRandao, number))
  const candidates = c.ask(miners).candidates(stripes, BigInt(`0x${seed.toHex()}`), seatCount)
  const operators = new Set(candidates.map(({ operator }) => operator)).size
  if (operators < seatCount) throw c.error.NoRoom(seatCount, operators, stripes)
  c.charge(DRAW_STEP_GAS * seatCount * candidates.length)
  const members = drawMembers(candidates, seatCount, seed)
  if (!members) throw c.error.NoRoom(seatCount, operators, stripes)
  const group = c.s.groups.at(id)
  group.set({ classId, version: 1, stripeCount: 0, open: true, tagger: ZERO_ADDRESS, taggerAttestation: 0 })
  members.forEach((member, position) => {
    group.field('members').push(member)
    c.s.seatsOf.at(member).push(seatKey(id, position))
  })
  c.s.openGroups.at(classId).push(id)
  c.s.groupCount.set(id)
  c.emit.GroupOpened(id, classId, members)
  if (!assignTagger(c, id, seed)) c.s.untagged.push(id)
  return id
}

/** A full group takes nothing more; the last of the list takes its place there. */
function closeGroup(c: C, id: number, classId: number): void {
  c.s.groups.at(id).update({ open: false })
  const open = c.s.openGroups.at(classId)
  const last = open.length() - 1
  for (let i = last; i >= 0 && i > last - OPEN_GROUPS_SCANNED_MAX; i--) {
    if (open.get(i) !== id) continue
    open.set(i, open.get(last))
    open.pop()
    return
  }
  throw new Error(`group ${id} was not among the open ones`)
}

function released(c: C, group: number, stripe: number): boolean {
  return ((c.s.tombstones.at(group).get(stripe >>> 8) >> BigInt(stripe & 0xff)) & 1n) === 1n
}

function bury(c: C, group: number, stripe: number, territory: bigint): void {
  const word = c.s.tombstones.at(group).at(stripe >>> 8)
  word.set(word.get() | (1n << BigInt(stripe & 0xff)))
  c.emit.Released(group, stripe, territory)
}

function stateOf(c: C, group: number, stripe: number): number {
  if (stripe >= c.s.groups.at(group).field('stripeCount').get()) return stripeState.none
  if (released(c, group, stripe)) return stripeState.released
  return c.s.roots.at(group).get(stripe) === ZERO_BYTES32 ? stripeState.reserved : stripeState.committed
}

function reservationOf(c: C, id: bigint) {
  const { droppedCount: _d, metered: _m, ...reservation } = c.s.reservations.at(id).get()
  return { id: reservation.stripeCount === 0 ? 0n : id, ...reservation }
}

function stripeOf(c: C, group: number, stripe: number) {
  const state = stateOf(c, group, stripe)
  if (state === stripeState.none) {
    return { root: ZERO_BYTES32, territory: 0n, reservation: 0n, gateway: ZERO_ADDRESS, state }
  }
  const id = BigInt(c.s.reservationAt.at(group).get(stripe))
  const reservation = c.s.reservations.at(id)
  return {
    root: c.s.roots.at(group).get(stripe),
    territory: reservation.field('territory').get(),
    reservation: id,
    gateway: reservation.field('gateway').get(),
    state,
  }
}

/** Adds to a reservation's counts and closes it once every stripe is committed or dropped. */
function settle(c: C, id: bigint, { committed = 0, dropped = 0 }): void {
  const reservation = c.s.reservations.at(id)
  const { stripeCount, ...counts } = reservation.get()
  const committedCount = counts.committedCount + committed
  const droppedCount = counts.droppedCount + dropped
  reservation.update({ committedCount, droppedCount, closed: committedCount + droppedCount === stripeCount })
}

/** Drops the stripes that a reservation has not filled. */
function expire(c: C, id: bigint): void {
  const { gateway, group, firstStripe, stripeCount, territory, metered } = c.s.reservations.at(id).get()
  let dropped = 0
  for (let stripe = firstStripe; stripe < firstStripe + stripeCount; stripe++) {
    if (stateOf(c, group, stripe) !== stripeState.reserved) continue
    bury(c, group, stripe, territory)
    dropped++
  }
  const bytes = stripeBytes(classOf(c.params, c.s.groups.at(group).field('classId').get())) * BigInt(dropped)
  c.ask(territories).unlock(territory, bytes)
  if (metered) c.ask(gateways).spend(territory, gateway, -bytes)
  for (const member of membersOf(c, group)) c.ask(miners).unlock(member, dropped)
  settle(c, id, { dropped })
}

function requireUser(c: C, territory: bigint): void {
  require(c.ask(gateways).mayUse(territory, c.caller), 'neither the owner nor a gateway with a grant')
}

/**
 * Which miners hold which stripes for whom. A stripe holds one segment for life: its root is written once and its number
 * is never used again.
 */
export const storage = definition
  // Reservations expire in the order of their numbers, since all last equally long: a cursor is the whole queue.
  .onBlock((c) => {
    const done = c.s.expiredUpTo.get()
    const last = Math.min(c.s.reservationCount.get(), done + OLD_PER_BLOCK_MAX)
    let upTo = done
    for (let expired = 0; upTo < last && expired < EXPIRED_PER_BLOCK_MAX; upTo++) {
      const id = BigInt(upTo + 1)
      const { expiresAtEpoch, closed } = c.s.reservations.at(id).get()
      if (BigInt(c.block.epoch) < expiresAtEpoch) break
      if (closed) continue
      expire(c, id)
      expired++
    }
    if (upTo > done) c.s.expiredUpTo.set(upTo)
    tendTaggers(c)
    vacateSeats(c)
  })
  .view('function classOf(uint8 id) view returns (Class)', (c, id) => ({ ...classOf(c.params, id) }))
  .fn(
    'function reserve(uint256 territory, uint8 classId, uint32 stripes) returns (uint256 reservation)',
    0,
    (c, territory, classId, stripes) => {
      const kind = classOf(c.params, classId)
      const { reservationStripesMax, stripesPerGroup, reservationEpochs } = c.params
      const most = Math.min(reservationStripesMax, stripesPerGroup)
      require(stripes > 0 && stripes <= most, `1 to ${most} stripes can be reserved at once`)

      const owner = c.ask(territories).ownerOf(territory)
      const room = c.ask(territories).roomOf(territory)
      require(room.active, 'territory is not active')
      const bytes = stripeBytes(kind) * BigInt(stripes)
      const metered = c.caller !== owner
      if (metered) {
        const quota = c.ask(gateways).quotaOf(territory, c.caller)
        require(quota !== undefined, 'neither the owner nor a gateway with a grant')
        if (bytes > quota) throw c.error.OverQuota(bytes, quota)
        c.ask(gateways).spend(territory, c.caller, bytes)
      }
      if (bytes > room.freeBytes) {
        throw c.error.OverCapacity(bytes, room.freeBytes, room.priceOf(bytes - room.freeBytes))
      }
      c.ask(territories).lock(territory, bytes)

      const group = findGroup(c, classId, stripes) ?? openGroup(c, kind, stripes)
      for (const member of membersOf(c, group)) c.ask(miners).lock(member, stripes)

      const id = c.s.reservationCount.get() + 1
      require(id <= U32_MAX, 'no reservation numbers left')
      c.s.reservationCount.set(id)
      const stripeCount = c.s.groups.at(group).field('stripeCount')
      const firstStripe = stripeCount.get()
      for (let i = 0; i < stripes; i++) c.s.reservationAt.at(group).push(id)
      stripeCount.set(firstStripe + stripes)
      if (firstStripe + stripes === stripesPerGroup) closeGroup(c, group, classId)
      c.s.reservations.at(BigInt(id)).set({
        gateway: c.caller,
        group,
        firstStripe,
        stripeCount: stripes,
        territory,
        committedCount: 0,
        droppedCount: 0,
        expiresAtEpoch: BigInt(c.block.epoch + reservationEpochs),
        closed: false,
        metered,
      })
      c.s.reservationsOf.at(territory).push(id)
      c.emit.Reserved(BigInt(id), territory, c.caller, group, firstStripe, stripes)
      return BigInt(id)
    },
  )
  .fn('function commit(uint256 reservation, StripeCommit[] stripes)', 0, (c, id, stripes) => {
    require(stripes.length > 0 && stripes.length <= STRIPES_PER_CALL_MAX, `1 to ${STRIPES_PER_CALL_MAX} stripes a call`)
    const { group, territory, gateway, firstStripe, stripeCount, expiresAtEpoch } = reservationOf(c, id)
    require(stripeCount > 0, 'no such reservation')
    // The grant is not asked again: what a gateway has stored and told its client must not be lost by an expiry.
    require(c.caller === gateway ||
      c.caller === c.ask(territories).ownerOf(territory), 'neither the owner nor the gateway that reserved')
    require(BigInt(c.block.epoch) < expiresAtEpoch, 'reservation has expired')

    const kind = classOf(c.params, c.s.groups.at(group).field('classId').get())
    const members = membersOf(c, group)
    const peerKeys: Uint8Array[] = members.map((member) => hexToBytes(c.ask(miners).peerKeyOf(member)))
    let committed = 0
    for (const { stripe, root, seats, signatures } of stripes) {
      require(stripe >= firstStripe && stripe < firstStripe + stripeCount, `stripe ${stripe} is not in the reservation`)
      require(root !== ZERO_BYTES32, `root of stripe ${stripe} is zero`)
      require(!released(c, group, stripe), `stripe ${stripe} is released`)
      const stored = c.s.roots.at(group).at(stripe)
      const before = stored.get()
      if (before === root) continue // sent twice: as good as once
      if (before !== ZERO_BYTES32) throw c.error.RootTaken(stripe, before)
      verifyReceipts(c, { kind, peerKeys, group, stripe, root, seats, signatures: hexToBytes(signatures) })
      stored.set(root)
      const word = c.s.committed.at(group).at(stripe >>> 8)
      word.set(word.get() | (1n << BigInt(stripe & 0xff)))
      committed++
      c.emit.Committed(group, stripe, territory, root, seats)
    }
    if (committed === 0) return
    for (const member of members) c.ask(miners).serve(member, committed)
    c.ask(territories).use(territory, stripeBytes(kind) * BigInt(committed))
    settle(c, id, { committed })
  })
  .fn('function release(uint32 group, uint32[] stripes)', 0, (c, group, stripes) => {
    require(stripes.length > 0 && stripes.length <= STRIPES_PER_CALL_MAX, `1 to ${STRIPES_PER_CALL_MAX} stripes a call`)
    const classId = c.s.groups.at(group).field('classId').get()
    require(classId !== 0, 'no such group')
    const bytes = stripeBytes(classOf(c.params, classId))
    let freed = 0
    let unlocked = 0
    /** By word: the committed stripes released. */
    const freedBits = new Map<number, bigint>()
    for (const stripe of stripes) {
      const { state, territory, reservation, gateway } = stripeOf(c, group, stripe)
      require(state !== stripeState.none, `no stripe ${stripe} in group ${group}`)
      if (state === stripeState.released) continue // sent twice: as good as once
      if (state === stripeState.committed) {
        requireUser(c, territory)
        c.ask(territories).free(territory, bytes)
        freedBits.set(stripe >>> 8, (freedBits.get(stripe >>> 8) ?? 0n) | (1n << BigInt(stripe & 0xff)))
        freed++
      } else {
        // It may hold what its gateway has acknowledged and not yet committed: nobody else drops it but the owner.
        require(c.caller === gateway ||
          c.caller === c.ask(territories).ownerOf(territory), 'neither the owner nor the gateway that reserved')
        c.ask(territories).unlock(territory, bytes)
        settle(c, reservation, { dropped: 1 })
        unlocked++
      }
      if (c.s.reservations.at(reservation).field('metered').get()) c.ask(gateways).spend(territory, gateway, -bytes)
      bury(c, group, stripe, territory)
    }
    for (const [word, bits] of freedBits) untagReleased(c, group, word, bits)
    for (const member of membersOf(c, group)) {
      if (freed > 0) c.ask(miners).free(member, freed)
      if (unlocked > 0) c.ask(miners).unlock(member, unlocked)
    }
  })
  .fn('function expire(uint256 reservation)', 0, (c, id) => {
    const { stripeCount, expiresAtEpoch, closed } = reservationOf(c, id)
    require(stripeCount > 0, 'no such reservation')
    require(BigInt(c.block.epoch) >= expiresAtEpoch, 'reservation has not expired')
    require(!closed, 'reservation is closed')
    expire(c, id)
  })
  .view('function groupCount() view returns (uint32)', (c) => c.s.groupCount.get())
  .view('function groupOf(uint32 id) view returns (Group)', (c, id) => {
    const members = membersOf(c, id)
    const peerKeys = members.map((member) => c.ask(miners).peerKeyOf(member))
    const group = c.s.groups.at(id).get()
    return { id: group.classId === 0 ? 0 : id, ...group, members, peerKeys }
  })
  .view('function stripeOf(uint32 group, uint32 stripe) view returns (Stripe)', (c, group, stripe) =>
    stripeOf(c, group, stripe),
  )
  .view(
    'function stripesOf(uint32 group, uint32 first, uint32 count) view returns (Stripe[])',
    (c, group, first, count) => {
      require(count <= STRIPES_PER_CALL_MAX, `count is over ${STRIPES_PER_CALL_MAX}`)
      const stripeCount = c.s.groups.at(group).field('stripeCount').get()
      const length = Math.max(0, Math.min(count, stripeCount - first))
      return Array.from({ length }, (_, i) => stripeOf(c, group, first + i))
    },
  )
  .view('function reservationOf(uint256 id) view returns (Reservation)', (c, id) => reservationOf(c, id))
  .view(
    'function reservationsOf(uint256 territory, uint256 offset, uint256 limit) view returns (Reservation[])',
    (c, territory, offset, limit) => {
      const ids = c.s.reservationsOf.at(territory)
      return page(offset, limit, ids.length()).map((i) => reservationOf(c, BigInt(ids.get(i))))
    },
  )
  .fn(
    'function declareFile(bytes32 fid, bytes32 manifestRoot, uint64 size, uint256 territory)',
    0,
    (c, fid, manifestRoot, size, territory) => {
      requireUser(c, territory)
      const file = c.s.files.at(fid)
      require(file.field('territory').get() === 0n, 'file is declared already')
      file.set({ manifestRoot, territory, size })
      c.emit.FileDeclared(fid, territory, size)
    },
  )
  .fn('function transferFile(bytes32 fid, uint256 territory)', 0, (c, fid, territory) => {
    const from = c.s.files.at(fid).field('territory')
    require(from.get() !== 0n, 'no such file')
    require(c.ask(territories).ownerOf(from.get()) === c.caller, 'not the owner of the file')
    requireUser(c, territory)
    from.set(territory)
    c.emit.FileTransferred(fid, territory)
  })
  .view(
    'function fileOf(bytes32 fid) view returns (address owner, uint256 territory, uint64 size, bytes32 manifestRoot)',
    (c, fid) => {
      const { territory, size, manifestRoot } = c.s.files.at(fid).get()
      const owner = territory === 0n ? ZERO_ADDRESS : c.ask(territories).ownerOf(territory)
      return [owner, territory, size, manifestRoot] as const
    },
  )
  .fn(
    'function anchorBucket(uint256 territory, bytes32 bucket, bytes32 indexRoot, uint64 objects, uint64 bytes_)',
    0,
    (c, territory, bucket, indexRoot, objects, bytes) => {
      requireUser(c, territory)
      c.s.anchors.at(territory).at(bucket).set({ indexRoot, objects, bytes, atBlock: c.block.number })
      c.emit.BucketAnchored(territory, bucket, indexRoot)
    },
  )
  .view(
    'function anchorOf(uint256 territory, bytes32 bucket) view returns (bytes32 indexRoot, uint64 objects, uint64 bytes_, uint64 atBlock)',
    (c, territory, bucket) => {
      const { indexRoot, objects, bytes, atBlock } = c.s.anchors.at(territory).at(bucket).get()
      return [indexRoot, objects, bytes, atBlock] as const
    },
  )
  .view(
    'function vacantSeats(uint256 offset, uint256 limit) view returns (uint32[] groups, uint8[] seats)',
    (c, offset, limit) => {
      const keys = page(offset, limit, c.s.vacant.length()).map((i) => c.s.vacant.get(i))
      return [keys.map((key) => Number(key >> 8n)), keys.map((key) => Number(key & 0xffn))] as const
    },
  )
  .view('function untaggedGroupCount() view returns (uint256)', (c) => BigInt(c.s.untagged.length()))
  // For audits.
  .service('confirmTags', confirmTags)
  .service('reportLoss', reportLoss)
  .service('taggedSeats', taggedSeats)
  .service('nthTagged', nthTagged)
  .service('taggedOf', (c, group: number, position: number, word: number) =>
    c.s.tagged.at(group).at(position).get(word),
  )
  .service('seatOf', seatMember)
  .service('taggerOf', (c, group: number) => c.s.groups.at(group).field('tagger').get())
  .service('isReleased', (c, group: number, stripe: number) => released(c, group, stripe))
  /** Remembers that a miner's seats wait for another one. */
  .service('putOut', (c, account: Address) => c.s.putOut.push(account))

/** Refuses a stripe unless enough of its seats signed for it, each with the key of the miner that sits there. */
function verifyReceipts(
  c: C,
  {
    kind,
    peerKeys,
    group,
    stripe,
    root,
    seats,
    signatures,
  }: {
    kind: StorageClass
    peerKeys: readonly Uint8Array[]
    group: number
    stripe: number
    root: `0x${string}`
    seats: bigint
    signatures: Uint8Array
  },
): void {
  require(seats >> BigInt(kind.seatCount) === 0n, `stripe ${stripe}: a seat is over ${kind.seatCount - 1}`)
  const signed: number[] = []
  for (let i = 0; i < kind.seatCount; i++) if ((seats >> BigInt(i)) & 1n) signed.push(i)
  if (signed.length < kind.writeQuorum) throw c.error.BelowQuorum(stripe, kind.writeQuorum, signed.length)
  require(signatures.length ===
    SIGNATURE_BYTES * signed.length, `stripe ${stripe}: ${SIGNATURE_BYTES} bytes for each seat`)
  const segmentRoot = hexToBytes(root)
  signed.forEach((position, i) => {
    c.charge(gasPrices.ed25519)
    const receipt = {
      group: groupId(group),
      stripe: stripeNumber(stripe),
      seat: seat(position),
      segmentRoot,
      signature: signatures.subarray(i * SIGNATURE_BYTES, (i + 1) * SIGNATURE_BYTES),
    }
    if (!verifyReceipt(receipt, c.block.chainId, peerKeys[position]!)) throw c.error.BadReceipt(stripe, position)
  })
}
