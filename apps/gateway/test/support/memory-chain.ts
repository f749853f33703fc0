import { equalBytes } from '@cumulus/bytes'
import type { Params } from '@cumulus/params'
import { verifyReceipt } from '@cumulus/storage'
import { type Address, groupId, seat as seatIndex, stripeNumber } from '@cumulus/types'
import {
  type ChainGroup,
  type ChainReservation,
  type ChainStripe,
  type ChainTerritory,
  type GatewayChain,
  GatewayChainError,
  type StripeCommit,
} from '../../src/chain/gateway-chain.ts'

/** One group of miners and the rules of reservations that a gateway can run into. Shared by all gateways of a test. */
export class MemoryChain {
  readonly params: Params
  readonly group: ChainGroup
  readonly stripes = new Map<number, ChainStripe & { reservation: bigint }>()
  readonly reservations: ChainReservation[] = []
  readonly commitCalls: number[] = []
  now = 1
  capacityStripes = Number.POSITIVE_INFINITY
  idleStripes = Number.POSITIVE_INFINITY
  reachable = true
  refuseCommits = false
  #nextStripe = 1

  constructor(params: Params, peerKeys: readonly Uint8Array[]) {
    this.params = params
    this.group = { id: 1, classId: params.classes.standard.id, peerKeys }
  }

  count(state: ChainStripe['state']): number {
    return [...this.stripes.values()].filter((stripe) => stripe.state === state).length
  }

  as(account: Address): GatewayChain {
    const reach = () => {
      if (!this.reachable) throw new GatewayChainError('UNREACHABLE', 'no validator answers')
    }
    return {
      account,
      epoch: async () => {
        reach()
        return this.now
      },
      group: async () => this.group,
      reserve: async (territory, _classId, stripeCount) => {
        reach()
        const used = this.count('reserved') + this.count('committed')
        if (used + stripeCount > this.capacityStripes) {
          throw new GatewayChainError('OVER_CAPACITY', 'the territory lacks room', { missing: stripeCount })
        }
        if (used + stripeCount > this.idleStripes) throw new GatewayChainError('NO_SPACE', 'miners lack room')
        const id = BigInt(this.reservations.length + 1)
        const reservation: ChainReservation = {
          id,
          territory,
          gateway: account,
          group: 1,
          firstStripe: this.#nextStripe,
          stripeCount,
          expiresAtEpoch: this.now + this.params.reservationEpochs,
          closed: false,
        }
        this.#nextStripe += stripeCount
        this.reservations.push(reservation)
        for (let i = 0; i < stripeCount; i++) {
          const stripe = { state: 'reserved' as const, root: new Uint8Array(32), territory, reservation: id }
          this.stripes.set(reservation.firstStripe + i, stripe)
        }
        return reservation
      },
      commit: async (id, commits) => {
        reach()
        if (this.refuseCommits) throw new GatewayChainError('UNREACHABLE', 'no validator answers')
        this.commitCalls.push(commits.length)
        const reservation = this.reservations[Number(id) - 1]!
        if (reservation.gateway !== account) throw new GatewayChainError('NOT_ALLOWED', 'another gateway reserved it')
        if (reservation.expiresAtEpoch <= this.now) throw new GatewayChainError('EXPIRED', 'the reservation is over')
        for (const commit of commits) this.#commit(id, commit)
      },
      release: async (_group, stripes) => {
        reach()
        for (const number of stripes) {
          const stripe = this.stripes.get(number)
          if (stripe?.state === 'released') continue
          if (stripe?.state !== 'committed') throw new GatewayChainError('REFUSED', `stripe ${number} is not committed`)
          this.stripes.set(number, { ...stripe, state: 'released' })
        }
      },
      reservationsOf: async (territory) => {
        reach()
        return this.reservations.filter((reservation) => reservation.territory === territory)
      },
      stripesOf: async (_group, first, count) => {
        reach()
        return Array.from({ length: count }, (_, i) => {
          return this.stripes.get(first + i) ?? { state: 'none', root: new Uint8Array(32), territory: 0n }
        })
      },
      territory: async (id): Promise<ChainTerritory> => ({
        id,
        owner: '0x0000000000000000000000000000000000000001',
        name: 'test',
        capacityBytes: 2n ** 40n,
        usedBytes: 0n,
        lockedBytes: 0n,
      }),
    }
  }

  #commit(reservation: bigint, { stripe: number, root, seats, signatures }: StripeCommit): void {
    const stripe = this.stripes.get(number)
    if (stripe?.state === 'committed' && equalBytes(stripe.root, root)) return
    if (stripe?.reservation !== reservation || stripe.state !== 'reserved') {
      throw new GatewayChainError('REFUSED', `stripe ${number} cannot be committed`)
    }
    let count = 0
    for (let seat = 0; seat < 12; seat++) {
      if (!((seats >> seat) & 1)) continue
      const signature = signatures.subarray(count * 64, ++count * 64)
      const place = { group: groupId(1), stripe: stripeNumber(number), seat: seatIndex(seat), segmentRoot: root }
      if (!verifyReceipt({ ...place, signature }, this.params.chainId, this.group.peerKeys[seat]!)) {
        throw new GatewayChainError('REFUSED', `receipt of seat ${seat} does not verify`)
      }
    }
    if (count < this.params.classes.standard.writeQuorum) throw new GatewayChainError('REFUSED', 'no quorum')
    this.stripes.set(number, { ...stripe, state: 'committed', root })
  }
}
