import { type Branded, bytesToHex } from '@cumulus/bytes'

/** An account of the chain: 20 bytes in lower- or mixed-case hex, as viem types it. */
export type Address = `0x${string}`

/** A placement group: 1 and up; 0 stands for "none". */
export type GroupId = Branded<number, 'GroupId'>

/** A row of a group. Numbers only grow and are never used twice. */
export type StripeNumber = Branded<number, 'StripeNumber'>

/** Position of a miner in a group, from 0; seat i holds fragment i of every stripe. */
export type Seat = Branded<number, 'Seat'>

/** Names one segment for life. */
export interface StripeRef {
  readonly group: GroupId
  readonly stripe: StripeNumber
}

const U32_MAX = 0xffff_ffff

export function groupId(value: number): GroupId {
  return within('group', value, U32_MAX) as GroupId
}

export function stripeNumber(value: number): StripeNumber {
  return within('stripe', value, U32_MAX) as StripeNumber
}

export function seat(value: number): Seat {
  return within('seat', value, 254) as Seat
}

export function addressFromBytes(bytes: Uint8Array): Address {
  if (bytes.length !== 20) throw new RangeError(`an address has 20 bytes, not ${bytes.length}`)
  return bytesToHex(bytes)
}

function within(name: string, value: number, max: number): number {
  if (!Number.isInteger(value) || value < 0 || value > max)
    throw new RangeError(`${name} ${value} is outside 0..${max}`)
  return value
}
