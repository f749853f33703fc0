import type { Params, StorageClass } from '@cumulus/params'
import type { Address } from '@cumulus/types'
import {
  address,
  array,
  bool,
  bytes32,
  type ContextOf,
  cell,
  dict,
  module,
  require,
  slotOf,
  struct,
  u8,
  u32,
  u64,
  u256,
} from '../framework/index.ts'

const variables = {
  groupCount: cell(u32),
  reservationCount: cell(u32),
  /** Every reservation up to this one is over: what expires by itself goes on behind it. */
  expiredUpTo: cell(u32),
  groups: dict(
    u32,
    struct({
      classId: u8,
      version: u32,
      stripeCount: u32,
      open: bool,
      /** How the tagger vouches for its key, from when it was drawn. */
      taggerAttestation: u8,
      /** The TEE worker that tags this group; zero while there is none. */
      tagger: address,
      members: array(address),
    }),
  ),
  /** By class: groups that take stripes, the newest last. */
  openGroups: dict(u8, array(u32)),
  /** By group and stripe: the reservation it belongs to (eight to a slot), and its segment root once committed. */
  reservationAt: dict(u32, array(u32)),
  roots: dict(u32, dict(u32, bytes32)),
  /** By group and stripe / 256: a bit for every released stripe. */
  tombstones: dict(u32, dict(u32, u256)),
  reservations: dict(
    u256,
    struct({
      gateway: address,
      group: u32,
      firstStripe: u32,
      stripeCount: u32,
      territory: u64,
      committedCount: u32,
      /** Released or expired before they were committed. */
      droppedCount: u32,
      expiresAtEpoch: u64,
      closed: bool,
      /** Whether it counts towards a grant: not if the owner reserved. */
      metered: bool,
    }),
  ),
  reservationsOf: dict(u256, array(u32)),
  files: dict(bytes32, struct({ manifestRoot: bytes32, territory: u64, size: u64 })),
  anchors: dict(u256, dict(bytes32, struct({ indexRoot: bytes32, objects: u64, bytes: u64, atBlock: u64 }))),
  /** By group and stripe / 256: a bit for every committed stripe, released or not. */
  committed: dict(u32, dict(u32, u256)),
  /** By group, seat and stripe / 256: a bit for every live stripe whose tags the seat has. */
  tagged: dict(u32, dict(u8, dict(u32, u256))),
  /** By group and seat: how many bits each word of `tagged` has, 16 bits a word, the first at the right. */
  taggedCounts: dict(u32, dict(u8, u256)),
  /** By group and stripe / 256: a bit for every stripe whose tagging has been credited. */
  credited: dict(u32, dict(u32, u256)),
  /** By miner: its seats, as group · 256 + seat. */
  seatsOf: dict(address, array(u64)),
  /** Groups that no worker tags. */
  untagged: array(u32),
  /** By worker: the groups it tags. */
  groupsOf: dict(address, array(u32)),
  /** Miners put out whose seats are not all in `vacant` yet, and the seats that wait for a new miner. */
  putOut: array(address),
  vacant: array(u64),
  /** By group: a bit for every seat in `vacant`. Its last member is still named, since units of stripes are counted by it. */
  vacated: dict(u32, u256),
}

export const definition = module({
  name: 'Storage',
  address: '0x0000000000000000000000000000000000000c07',
  about: 'Placement groups and their stripes, files and bucket anchors.',
  structs: [
    'struct Class { uint8 id; string name; uint8 dataCount; uint8 seatCount; uint8 writeQuorum; uint8 codec; uint32 fragmentBytes; }',
    'struct Group { uint32 id; uint8 classId; uint32 version; uint32 stripeCount; bool open; address[] members; bytes32[] peerKeys; address tagger; uint8 taggerAttestation; }',
    'struct Reservation { uint256 id; uint256 territory; address gateway; uint32 group; uint32 firstStripe; uint32 stripeCount; uint32 committedCount; uint64 expiresAtEpoch; bool closed; }',
    'struct Stripe { bytes32 root; uint256 territory; uint256 reservation; address gateway; uint8 state; }',
    'struct StripeCommit { uint32 stripe; bytes32 root; uint256 seats; bytes signatures; }',
  ],
  storage: variables,
  events: {
    TaggerAssigned: 'event TaggerAssigned(uint32 indexed group, address indexed tagger, uint8 attestation)',
    SeatVacated: 'event SeatVacated(uint32 indexed group, uint8 indexed seat, address indexed miner)',
    GroupOpened: 'event GroupOpened(uint32 indexed group, uint8 classId, address[] members)',
    Reserved:
      'event Reserved(uint256 indexed reservation, uint256 indexed territory, address indexed gateway, uint32 group, uint32 firstStripe, uint32 stripeCount)',
    Committed:
      'event Committed(uint32 indexed group, uint32 indexed stripe, uint256 indexed territory, bytes32 root, uint256 seats)',
    Released: 'event Released(uint32 indexed group, uint32 indexed stripe, uint256 indexed territory)',
    FileDeclared: 'event FileDeclared(bytes32 indexed fid, uint256 indexed territory, uint64 size)',
    FileTransferred: 'event FileTransferred(bytes32 indexed fid, uint256 indexed territory)',
    BucketAnchored: 'event BucketAnchored(uint256 indexed territory, bytes32 indexed bucket, bytes32 indexRoot)',
  },
  errors: {
    NoRoom: 'error NoRoom(uint32 neededMiners, uint32 foundMiners, uint32 stripes)',
    OverCapacity: 'error OverCapacity(uint64 neededBytes, uint64 freeBytes, uint256 priceToExpand)',
    OverQuota: 'error OverQuota(uint64 neededBytes, uint64 freeBytes)',
    BelowQuorum: 'error BelowQuorum(uint32 stripe, uint8 neededSeats, uint8 seats)',
    BadReceipt: 'error BadReceipt(uint32 stripe, uint8 seat)',
    RootTaken: 'error RootTaken(uint32 stripe, bytes32 root)',
  },
})

/** What the handlers of the Storage module, and the files it is made of, are given. */
export type C = ContextOf<typeof definition>

export function classOf(params: Params, id: number): StorageClass {
  const found = Object.values(params.classes).find((one) => one.id === id)
  require(found, `no storage class ${id}`)
  return found
}

/** Bytes of a territory that one stripe takes. */
export function stripeBytes({ dataCount, fragmentBytes }: StorageClass): bigint {
  return BigInt(dataCount) * BigInt(fragmentBytes)
}

export function membersOf(c: C, group: number): Address[] {
  const members = c.s.groups.at(group).field('members')
  return Array.from({ length: members.length() }, (_, i) => members.get(i))
}

/** The slot that holds a stripe's segment root: zero until it is committed, and never changed after. */
export function stripeRootSlot(group: number, stripe: number): bigint {
  return slotOf(variables, 'roots', (roots) => roots.at(group).get(stripe))
}
